#include "quant/demo/demo_model.h"

#include <torch/script.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "quant/base/atomic_file.h"
#include "quant/base/status_macros.h"
#include "quant/data/shard.h"
#include "quant/demo/images.h"
#include "quant/demo/network.h"

namespace quantserve {
namespace {

Preprocessing DemoPreprocessing() {
  Preprocessing preprocessing;
  preprocessing.mean = {kDemoMean};
  preprocessing.std = {kDemoStd};
  return preprocessing;
}

// Runs `fn` and turns what LibTorch throws into a status of one line.
template <typename Fn>
auto Guarded(absl::string_view what, Fn&& fn) -> decltype(fn()) {
  try {
    return std::forward<Fn>(fn)();
  } catch (const std::exception& error) {
    const std::vector<std::string> lines = absl::StrSplit(error.what(), '\n');
    return absl::InternalError(absl::StrCat(what, ": ", lines[0]));
  }
}

double Accuracy(torch::jit::Module model, const Shard& shard) {
  const c10::InferenceMode inference;
  constexpr int64_t kBatch = 100;
  int64_t correct = 0;
  for (int64_t first = 0; first < shard.size(); first += kBatch) {
    const int64_t n = std::min(kBatch, shard.size() - first);
    const at::Tensor inputs =
        at::empty({n, 3, kDemoSide, kDemoSide}, at::kFloat);
    shard.Copy(first, n, DemoPreprocessing(),
               {inputs.data_ptr<float>(), static_cast<size_t>(inputs.numel())});
    const at::Tensor best = model.forward({inputs}).toTensor().argmax(1);
    for (int64_t i = 0; i < n; ++i) {
      if (best[i].item<int64_t>() == shard.labels()[first + i]) ++correct;
    }
  }
  return static_cast<double>(correct) / static_cast<double>(shard.size());
}

}  // namespace

absl::Status TrainDemoModel(
    const DemoOptions& options,
    const std::function<void(const TrainProgress&)>& report,
    const std::string& path) {
  return Guarded("training failed", [&] {
    at::manual_seed(options.seed);
    torch::jit::Module network = MakeDemoNetwork(kDemoClasses);
    TrainOptions train;
    train.seed = options.seed;
    train.samples = options.epochs * options.train_samples;
    TrainDemoNetwork(train, DemoPreprocessing(), report, &network);
    std::ostringstream bytes;
    network.save(bytes);
    return WriteFileAtomically(path, bytes.str());
  });
}

absl::StatusOr<double> MeasureDemoModel(const std::string& model_path,
                                        const std::string& shard_path) {
  ReadShardOptions options;
  options.sample_shape = {3, kDemoSide, kDemoSide};
  options.num_classes = kDemoClasses;
  QS_ASSIGN_OR_RETURN(const Shard shard, ReadShard(shard_path, options));
  return Guarded("the saved model can't be run",
                 [&]() -> absl::StatusOr<double> {
                   torch::jit::Module model = torch::jit::load(model_path);
                   return Accuracy(std::move(model), shard);
                 });
}

}  // namespace quantserve
