#include "quant/plan/bias_shifts.h"

#include "quant/plan/quantize_plan.h"

namespace quantserve {

std::vector<float> AnalyticBiasShift(const Weights& weights, int64_t groups,
                                     const std::vector<float>& channel_mean,
                                     const Weights& quantized) {
  const Shape& shape = weights.data->shape();
  const int64_t outputs = shape[0];
  const int64_t inputs = shape[1];  // of one group
  const int64_t taps = weights.data->elements() / (outputs * inputs);
  if (static_cast<int64_t>(channel_mean.size()) != inputs * groups) return {};
  std::vector<float> shifts(outputs);
  const float* w = weights.data->data<float>();
  const int8_t* q = quantized.data->data<int8_t>();
  for (int64_t c = 0; c < outputs; ++c) {
    const int64_t group = c / (outputs / groups);
    double shift = 0;
    for (int64_t i = 0; i < inputs; ++i) {
      double error = 0;
      for (int64_t t = 0; t < taps; ++t) {
        const int64_t at = (c * inputs + i) * taps + t;
        error += double{quantized.scales[c]} * q[at] - w[at];
      }
      shift += error * channel_mean[group * inputs + i];
    }
    shifts[c] = static_cast<float>(-shift);
  }
  return shifts;
}

std::map<std::string, std::vector<float>> AnalyticBiasShifts(
    const Plan& plan, const ChannelMeans& means, int weight_bits) {
  std::map<std::string, std::vector<float>> shifts;
  for (const Node& node : plan.nodes) {
    if (!node.weights.data) continue;
    const auto mean = means.find(plan.value(node.inputs[0]).name);
    if (mean == means.end()) continue;
    const auto* conv = std::get_if<Conv2dAttrs>(&node.attrs);
    std::vector<float> shift = AnalyticBiasShift(
        node.weights, conv != nullptr ? conv->groups : 1, mean->second,
        QuantizeWeights(node.weights, weight_bits));
    if (!shift.empty()) shifts[node.name] = std::move(shift);
  }
  return shifts;
}

}  // namespace quantserve
