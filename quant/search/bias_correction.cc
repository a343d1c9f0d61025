#include "quant/search/bias_correction.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "quant/base/status_macros.h"
#include "quant/plan/passes/equalize.h"
#include "quant/plan/quantize_plan.h"
#include "quant/torch/plan_stepper.h"

namespace quantserve {
namespace {

// Empty if the shift is too large to be a rounding's.
std::vector<float> ShiftOf(const ChannelDifference& channels) {
  constexpr double kLargest = 2;  // NNCF's threshold
  std::vector<float> shifts;
  double shift = 0, mean = 0;
  for (size_t c = 0; c < channels.mean.size(); ++c) {
    shifts.push_back(static_cast<float>(channels.difference[c]));
    shift = std::max(shift, std::fabs(channels.difference[c]));
    mean = std::max(mean, std::fabs(channels.mean[c]));
  }
  if (!std::isfinite(shift) || shift > kLargest * mean) return {};
  return shifts;
}

// So that a run holds at most about 256 MiB of activations.
int64_t Samples(const Plan& plan, int64_t wanted) {
  int64_t largest = 1;
  for (const Value& v : plan.values) largest = std::max(largest, v.elements());
  return std::clamp<int64_t>((int64_t{64} << 20) / (4 * largest), 1, wanted);
}

}  // namespace

absl::StatusOr<std::map<std::string, std::vector<float>>> EmpiricalBiasShifts(
    const Plan& float_plan, const Recipe& recipe, const Shard& shard,
    const Preprocessing& preprocessing, const EmpiricalBiasOptions& options,
    const JobControl& control) {
  Recipe plain = recipe;
  plain.bias_shifts.clear();
  QS_ASSIGN_OR_RETURN(const QuantizedPlan quantized,
                      QuantizePlan(float_plan, plain, {}));
  QS_ASSIGN_OR_RETURN(const Plan equalized,
                      Equalize(float_plan, recipe.equalizations));
  const int64_t samples = std::min(Samples(float_plan, options.samples),
                                   shard.size() - options.first);
  const auto start = [&](const Plan& plan) {
    return PlanStepper::Make(plan, shard, preprocessing, options.first,
                             samples);
  };
  const Plan& plan = quantized.plan;
  QS_ASSIGN_OR_RETURN(const auto wanted, start(equalized));
  QS_ASSIGN_OR_RETURN(const auto got, start(plan));
  // The float plan's next node: both have their nodes in the same order.
  auto next = equalized.nodes.begin();
  std::map<std::string, std::vector<float>> shifts;
  const auto steps = static_cast<int64_t>(plan.nodes.size());
  for (int64_t i = 0; i < steps; ++i) {
    QS_RETURN_IF_ERROR(control.Report("bias", i, steps));
    Node node = plan.nodes[i];
    const bool converts =
        node.kind == OpKind::kQuantize || node.kind == OpKind::kDequantize;
    if (!converts) {
      QS_RETURN_IF_ERROR(wanted->Step(*next));
      if (!node.weights.scales.empty()) {
        QS_RETURN_IF_ERROR(got->Preview(node));
        QS_ASSIGN_OR_RETURN(
            const ChannelDifference channels,
            CompareChannels(*wanted, next->outputs[0], *got, node.outputs[0],
                            node.kind == OpKind::kLinear,
                            node.clamp && node.clamp->IsRelu()));
        std::vector<float> shift = ShiftOf(channels);
        if (!shift.empty()) {
          node.weights.bias.resize(shift.size(), 0.0f);
          for (size_t c = 0; c < shift.size(); ++c) {
            node.weights.bias[c] += shift[c];
          }
          shifts[node.name] = std::move(shift);
        }
      }
      ++next;
    }
    QS_RETURN_IF_ERROR(got->Step(node));
  }
  QS_RETURN_IF_ERROR(control.Report("bias", steps, steps));
  return shifts;
}

}  // namespace quantserve
