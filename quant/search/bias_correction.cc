#include "quant/search/bias_correction.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <utility>

#include "quant/base/status_macros.h"
#include "quant/plan/passes/equalize.h"
#include "quant/plan/quantize_plan.h"
#include "quant/torch/observe.h"
#include "quant/torch/plan_stepper.h"

namespace quantserve {
namespace {

bool IsLayer(const Node& node) {
  return node.kind == OpKind::kConv2d || node.kind == OpKind::kLinear;
}

// The mean over samples of every value that a layer reads in FP32, by name.
absl::StatusOr<std::map<std::string, Tensor>> FloatMeans(
    const Plan& plan, const Shard& shard, const Preprocessing& preprocessing,
    int64_t first, int64_t samples, const JobControl& control) {
  ObserveOptions observe;
  std::set<ValueId> ids;
  for (const Node& node : plan.nodes) {
    if (IsLayer(node)) ids.insert(node.inputs[0]);
  }
  observe.values.assign(ids.begin(), ids.end());
  QS_ASSIGN_OR_RETURN(const auto observer, Observer::Make(plan, observe));
  std::map<ValueId, std::vector<double>> sums;
  QS_RETURN_IF_ERROR(
      observer->RunAll(shard, preprocessing, first, samples, control, "bias",
                       [&](ValueId id, absl::Span<const float> values) {
                         std::vector<double>& sum = sums[id];
                         sum.resize(plan.value(id).elements());
                         for (size_t i = 0; i < values.size();) {
                           for (double& s : sum) s += values[i++];
                         }
                         return absl::OkStatus();
                       }));
  std::map<std::string, Tensor> means;
  for (const auto& [id, sum] : sums) {
    Tensor mean(DType::kF32, plan.value(id).shape);
    for (size_t i = 0; i < sum.size(); ++i) {
      mean.data<float>()[i] = static_cast<float>(sum[i] / samples);
    }
    means.emplace(plan.value(id).name, std::move(mean));
  }
  return means;
}

// The 8-bit layer on real numbers.
Node InFloat(const Node& node) {
  Node real = node;
  auto weights =
      std::make_shared<Tensor>(DType::kF32, node.weights.data->shape());
  const int64_t row = weights->elements() / weights->shape()[0];
  for (int64_t i = 0; i < weights->elements(); ++i) {
    weights->data<float>()[i] =
        node.weights.data->data<int8_t>()[i] * node.weights.scales[i / row];
  }
  real.weights.data = std::move(weights);
  real.weights.scales.clear();
  return real;
}

// A plan whose values `node` reads and writes are all FP32.
Plan FloatShapes(const Plan& plan) {
  Plan shapes;
  shapes.values = plan.values;
  for (Value& value : shapes.values) value.quant.reset();
  return shapes;
}

// Empty if the shift is too large to be a rounding's.
std::vector<float> ShiftOf(const std::vector<double>& want,
                           const std::vector<double>& got) {
  constexpr double kLargest = 2;  // NNCF's threshold
  std::vector<float> shifts(want.size());
  double shift = 0, mean = 0;
  for (size_t c = 0; c < want.size(); ++c) {
    shifts[c] = static_cast<float>(want[c] - got[c]);
    shift = std::max(shift, std::fabs(want[c] - got[c]));
    mean = std::max(mean, std::fabs(want[c]));
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
  QS_ASSIGN_OR_RETURN(const auto means,
                      FloatMeans(equalized, shard, preprocessing, options.first,
                                 samples, control));
  std::map<std::string, const Node*> by_name;
  for (const Node& node : equalized.nodes) by_name[node.name] = &node;

  const Plan& plan = quantized.plan;
  const Plan shapes = FloatShapes(plan);
  const Plan float_shapes = FloatShapes(equalized);
  QS_ASSIGN_OR_RETURN(
      const auto stepper,
      PlanStepper::Make(plan, shard, preprocessing, options.first, samples));
  std::map<std::string, std::vector<float>> shifts;
  const auto steps = static_cast<int64_t>(plan.nodes.size());
  for (int64_t i = 0; i < steps; ++i) {
    QS_RETURN_IF_ERROR(control.Report("bias", i, steps));
    Node node = plan.nodes[i];
    if (IsLayer(node) && !node.weights.scales.empty()) {
      const Node& original = *by_name.at(node.name);
      const std::string& input = equalized.value(original.inputs[0]).name;
      QS_ASSIGN_OR_RETURN(const std::vector<double> want,
                          MeanOutput(float_shapes, original, means.at(input)));
      QS_ASSIGN_OR_RETURN(const Tensor mean, stepper->Mean(node.inputs[0]));
      QS_ASSIGN_OR_RETURN(const std::vector<double> got,
                          MeanOutput(shapes, InFloat(node), mean));
      std::vector<float> shift = ShiftOf(want, got);
      if (!shift.empty()) {
        node.weights.bias.resize(shift.size(), 0.0f);
        for (size_t c = 0; c < shift.size(); ++c) {
          node.weights.bias[c] += shift[c];
        }
        shifts[node.name] = std::move(shift);
      }
    }
    QS_RETURN_IF_ERROR(stepper->Step(node));
  }
  QS_RETURN_IF_ERROR(control.Report("bias", steps, steps));
  return shifts;
}

}  // namespace quantserve
