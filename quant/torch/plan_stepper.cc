#include "quant/torch/plan_stepper.h"

#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/torch/emit.h"
#include "quant/torch/shard_batch.h"
#include "quant/torch/torchscript_engine.h"
#include "quant/torch/wall.h"

namespace quantserve {
namespace {

// The plan of one node: its inputs are the plan's inputs.
Plan PlanOf(const Plan& plan, const Node& node) {
  Plan single;
  std::map<ValueId, ValueId> ids;
  Node copy = node;
  for (ValueId& id : copy.inputs) {
    if (ids.count(id) == 0) {
      const Value& v = plan.value(id);
      ids[id] = single.AddValue(v.name, v.shape, v.quant);
      single.inputs.push_back(ids[id]);
    }
    id = ids[id];
  }
  for (ValueId& id : copy.outputs) {
    const Value& v = plan.value(id);
    id = single.AddValue(v.name, v.shape, v.quant);
    single.outputs.push_back(id);
  }
  single.nodes.push_back(std::move(copy));
  return single;
}

absl::StatusOr<std::vector<at::Tensor>> RunNode(
    const Plan& plan, const Node& node, const std::vector<at::Tensor>& inputs) {
  QS_ASSIGN_OR_RETURN(torch::jit::Module module,
                      EmitModule(PlanOf(plan, node), {}));
  torch::jit::GraphExecutor executor(module.get_method("forward").graph(),
                                     "step",
                                     torch::jit::ExecutorExecutionMode::SIMPLE);
  torch::jit::Stack stack{module._ivalue()};
  for (const at::Tensor& input : inputs) stack.emplace_back(input);
  executor.run(stack);
  if (stack.at(0).isTensor()) {
    return std::vector<at::Tensor>{stack.at(0).toTensor()};
  }
  std::vector<at::Tensor> outputs;
  for (const c10::IValue& value : stack.at(0).toTuple()->elements()) {
    outputs.push_back(value.toTensor());
  }
  return outputs;
}

class TorchStepper : public PlanStepper {
 public:
  TorchStepper(const Plan& plan, const std::vector<at::Tensor>& inputs)
      : plan_(plan), readers_(CountReaders(plan)), values_(plan.values.size()) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      values_[plan.inputs[i]] = inputs[i];
    }
  }

  absl::Status Preview(const Node& node) override {
    return BehindWall(absl::StatusCode::kInternal,
                      absl::StrCat("layer \"", node.name, "\" failed"),
                      [&] { return Run(node); });
  }

  absl::Status Step(const Node& node) override {
    QS_RETURN_IF_ERROR(Preview(node));
    for (ValueId id : node.inputs) {
      if (--readers_[id] == 0) values_[id] = at::Tensor();
    }
    return absl::OkStatus();
  }

  // Dequantized.
  at::Tensor Real(ValueId id) const {
    const at::Tensor& value = values_[id];
    return value.is_quantized() ? value.dequantize() : value;
  }

 private:
  absl::Status Run(const Node& node) {
    std::vector<at::Tensor> inputs;
    std::vector<ValueId> seen;
    for (ValueId id : node.inputs) {
      if (std::count(seen.begin(), seen.end(), id) > 0) continue;
      seen.push_back(id);
      inputs.push_back(values_[id]);
    }
    QS_ASSIGN_OR_RETURN(std::vector<at::Tensor> outputs,
                        RunNode(plan_, node, inputs));
    for (size_t i = 0; i < outputs.size(); ++i) {
      values_[node.outputs[i]] = std::move(outputs[i]);
    }
    return absl::OkStatus();
  }

  const Plan& plan_;
  std::vector<int> readers_;
  std::vector<at::Tensor> values_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<PlanStepper>> PlanStepper::Make(
    const Plan& plan, const Shard& shard, const Preprocessing& preprocessing,
    int64_t first, int64_t count) {
  QS_RETURN_IF_ERROR(PrepareLibTorch());
  return BehindWall(
      absl::StatusCode::kInternal, "cannot step",
      [&]() -> absl::StatusOr<std::unique_ptr<PlanStepper>> {
        return std::make_unique<TorchStepper>(
            plan, ShardBatch(shard, preprocessing, first, count, count));
      });
}

absl::StatusOr<ChannelDifference> CompareChannels(const PlanStepper& wanted,
                                                  ValueId wanted_id,
                                                  const PlanStepper& got,
                                                  ValueId got_id, bool last,
                                                  bool active_only) {
  return BehindWall(
      absl::StatusCode::kInternal, "channels cannot be compared",
      [&]() -> absl::StatusOr<ChannelDifference> {
        // [channels, positions]
        const auto channels = [last](const PlanStepper& stepper, ValueId id) {
          const at::Tensor real =
              static_cast<const TorchStepper&>(stepper).Real(id);
          return last ? real.flatten(0, -2).t()
                      : real.transpose(0, 1).flatten(1);
        };
        const at::Tensor want = channels(wanted, wanted_id);
        const at::Tensor have = channels(got, got_id);
        const at::Tensor difference = want - have;
        at::Tensor count = torch::full({want.size(0)}, want.size(1));
        if (active_only) {
          // Where both are 0 the difference is, too.
          count = ((want != 0) | (have != 0)).sum(1).clamp_min(1);
        }
        const auto numbers = [](const at::Tensor& tensor) {
          const at::Tensor dense = tensor.to(torch::kFloat64).contiguous();
          const double* data = dense.data_ptr<double>();
          return std::vector<double>(data, data + dense.numel());
        };
        return ChannelDifference{
            numbers(want.to(torch::kFloat64).mean(1)),
            numbers(difference.to(torch::kFloat64).sum(1) / count)};
      });
}

}  // namespace quantserve
