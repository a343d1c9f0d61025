#include "tests/bench/direct_engine.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <random>
#include <thread>
#include <utility>

#include "absl/strings/strip.h"
#include "client/cli/numbers.h"
#include "quant/base/status_macros.h"
#include "quant/data/read_options.h"
#include "quant/data/shard.h"
#include "server/core/steady_clock.h"

namespace quantserve::bench {
namespace {

absl::StatusOr<Preprocessing> PreprocessingOf(const testing::TestModel& model) {
  Preprocessing preprocessing;
  for (absl::string_view flag : model.preprocessing) {
    if (absl::ConsumePrefix(&flag, "--mean=")) {
      QS_ASSIGN_OR_RETURN(preprocessing.mean, ParseNumbers("mean", flag));
    } else if (absl::ConsumePrefix(&flag, "--std=")) {
      QS_ASSIGN_OR_RETURN(preprocessing.std, ParseNumbers("std", flag));
    }
  }
  return preprocessing;
}

// The sizes, shuffled: each thread meets them in an order of its own.
std::vector<int64_t> Draw(const std::map<int64_t, int64_t>& batches,
                          uint64_t seed) {
  std::vector<int64_t> sizes;
  std::vector<double> weights;
  for (const auto& [size, count] : batches) {
    sizes.push_back(size);
    weights.push_back(static_cast<double>(count));
  }
  std::mt19937_64 random(seed);
  std::discrete_distribution<size_t> index(weights.begin(), weights.end());
  std::vector<int64_t> drawn(1000);
  for (int64_t& size : drawn) size = sizes[index(random)];
  return drawn;
}

// Samples run until `stop`.
int64_t RunUntil(const std::atomic<bool>& stop, const Engine& engine,
                 const std::vector<int64_t>& sizes, ExecutionContext* context) {
  ConfigureThread(1);
  const auto most = static_cast<size_t>(engine.max_batch());
  std::vector<float> in(most * engine.inputs()[0].elements(), 0.5F);
  std::vector<float> out(most * engine.outputs()[0].elements());
  int64_t samples = 0;
  for (size_t i = 0; !stop; i = (i + 1) % sizes.size()) {
    if (!context->Run(sizes[i], {in.data()}, {out.data()}).ok()) return 0;
    samples += sizes[i];
  }
  return samples;
}

}  // namespace

absl::StatusOr<DirectEngine> DirectEngine::Make(const testing::TestModel& model,
                                                int workers) {
  DirectEngine direct;
  ModelOptions options;
  options.path = model.model;
  options.inputs = {{{3, 32, 32}}};
  options.cache_dir = model.CacheDirectory();
  QS_ASSIGN_OR_RETURN(options.preprocessing, PreprocessingOf(model));
  QS_ASSIGN_OR_RETURN(const auto pipeline, OpenModel(options));
  QS_ASSIGN_OR_RETURN(const Shard shard, ReadShard(model.calibration, {}));
  QS_ASSIGN_OR_RETURN(const QuantizedVariant int8,
                      pipeline->Quantize({}, shard, {}));
  direct.engine_ = int8.variant.engine;
  for (int i = 0; i < workers; ++i) {
    QS_ASSIGN_OR_RETURN(auto context, direct.engine_->NewContext());
    direct.contexts_.push_back(std::move(context));
  }
  return direct;
}

DirectEngine::Work DirectEngine::RunFor(
    absl::Duration length, const std::map<int64_t, int64_t>& batches) const {
  std::atomic<bool> stop{false};
  std::atomic<int64_t> samples{0};
  std::vector<std::thread> threads;
  const absl::Time start = SteadyNow();
  for (size_t i = 0; i < contexts_.size(); ++i) {
    threads.emplace_back([&, i] {
      samples += RunUntil(stop, *engine_, Draw(batches, i), contexts_[i].get());
    });
  }
  std::this_thread::sleep_for(absl::ToChronoNanoseconds(length));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  return {samples, SteadyNow() - start};
}

}  // namespace quantserve::bench
