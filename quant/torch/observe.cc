#include "quant/torch/observe.h"

#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/torch/emit.h"
#include "quant/torch/shard_batch.h"
#include "quant/torch/torchscript_engine.h"
#include "quant/torch/wall.h"

namespace quantserve {
namespace {

class TorchObserver : public Observer {
 public:
  TorchObserver(const Plan& plan, ObserveOptions options, int64_t batch,
                torch::jit::Module module)
      : plan_(plan),
        options_(std::move(options)),
        batch_(batch),
        pad_(plan.quantized()),
        module_(std::move(module)),
        executor_(std::make_unique<torch::jit::GraphExecutor>(
            module_.get_method("forward").graph(), "observe",
            torch::jit::ExecutorExecutionMode::SIMPLE)) {}

  int64_t batch() const override { return batch_; }

  absl::Status Run(const Shard& shard, const Preprocessing& preprocessing,
                   int64_t first, int64_t count, const Visit& visit) override {
    return BehindWall(
        absl::StatusCode::kInternal, "calibration run failed", [&] {
          return RunBehindWall(shard, preprocessing, first, count, visit);
        });
  }

 private:
  absl::Status RunBehindWall(const Shard& shard,
                             const Preprocessing& preprocessing, int64_t first,
                             int64_t count, const Visit& visit) {
    // LibTorch's 8-bit layers keep to the first batch size that they see.
    const int64_t batch = pad_ ? batch_ : count;
    torch::jit::Stack stack{module_._ivalue()};
    for (at::Tensor& input :
         ShardBatch(shard, preprocessing, first, count, batch)) {
      stack.emplace_back(std::move(input));
    }
    executor_->run(stack);
    if (options_.values.empty()) return absl::OkStatus();
    const auto tuple = stack.at(0).toTuple();
    const size_t skipped = plan_.outputs.size();
    for (size_t i = 0; i < options_.values.size(); ++i) {
      const at::Tensor value =
          tuple->elements()[skipped + i].toTensor().contiguous();
      QS_RETURN_IF_ERROR(
          visit(options_.values[i],
                {value.data_ptr<float>(),
                 static_cast<size_t>(value.numel() / batch * count)}));
    }
    return absl::OkStatus();
  }

  const Plan& plan_;
  const ObserveOptions options_;
  const int64_t batch_;
  const bool pad_;
  torch::jit::Module module_;
  std::unique_ptr<torch::jit::GraphExecutor> executor_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Observer>> Observer::Make(
    const Plan& plan, const ObserveOptions& options) {
  QS_RETURN_IF_ERROR(PrepareLibTorch());
  int64_t sample_bytes = 1;
  for (const Value& v : plan.values) sample_bytes += v.elements() * 4;
  const int64_t batch = std::clamp<int64_t>(
      options.max_activation_bytes / sample_bytes, 1, options.batch);
  EmitOptions emit;
  emit.observe = options.values;
  QS_ASSIGN_OR_RETURN(torch::jit::Module module, EmitModule(plan, emit));
  return std::make_unique<TorchObserver>(plan, options, batch,
                                         std::move(module));
}

absl::Status Observer::RunAll(const Shard& shard,
                              const Preprocessing& preprocessing, int64_t first,
                              int64_t count, const JobControl& control,
                              const char* phase, const Visit& visit) {
  QS_RETURN_IF_ERROR(control.Report(phase, 0, count));
  for (int64_t done = 0; done < count;) {
    const int64_t n = std::min(batch(), count - done);
    QS_RETURN_IF_ERROR(Run(shard, preprocessing, first + done, n, visit));
    done += n;
    QS_RETURN_IF_ERROR(control.Report(phase, done, count));
  }
  return absl::OkStatus();
}

absl::Status CheckShard(const Plan& plan, const Shard& shard) {
  if (shard.num_inputs() != plan.inputs.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("shard \"", shard.name(), "\" has ", shard.num_inputs(),
                     " inputs, model wants ", plan.inputs.size()));
  }
  for (size_t i = 0; i < plan.inputs.size(); ++i) {
    const Shape& want = plan.value(plan.inputs[i]).shape;
    const Shape& have = shard.sample_shape(i);
    if (std::equal(have.begin(), have.end(), want.begin() + 1, want.end())) {
      continue;
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "shard \"", shard.name(), "\" has samples of shape ", ShapeString(have),
        ", model wants ", ShapeString({want.data() + 1, want.size() - 1})));
  }
  return absl::OkStatus();
}

}  // namespace quantserve
