#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/plan/passes/passes.h"

namespace quantserve {
namespace {

std::shared_ptr<const Tensor> RealWeights(const Weights& weights) {
  Tensor real(DType::kF32, weights.data->shape());
  const int64_t per_channel = real.elements() / real.shape()[0];
  for (int64_t i = 0; i < real.elements(); ++i) {
    real.data<float>()[i] =
        static_cast<float>(weights.data->data<int8_t>()[i]) *
        weights.scales[i / per_channel];
  }
  return std::make_shared<const Tensor>(std::move(real));
}

}  // namespace

Plan EmulateInFloat(Plan plan, const std::set<std::string>& names) {
  std::vector<Node> nodes;
  for (Node& node : plan.nodes) {
    const bool product =
        node.kind == OpKind::kConv2d || node.kind == OpKind::kLinear;
    if (!product || names.count(node.name) == 0 ||
        !plan.value(node.inputs[0]).quant) {
      nodes.push_back(std::move(node));
      continue;
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      Node dequantize;
      dequantize.kind = OpKind::kDequantize;
      dequantize.name = absl::StrCat(node.name, ".in", i);
      dequantize.inputs = {node.inputs[i]};
      dequantize.outputs = {
          plan.AddValue(dequantize.name, plan.value(node.inputs[i]).shape)};
      node.inputs[i] = dequantize.outputs[0];
      nodes.push_back(std::move(dequantize));
    }
    node.weights.data = RealWeights(node.weights);
    node.weights.scales.clear();
    const ValueId out = node.outputs[0];
    if (!plan.value(out).quant) {
      nodes.push_back(std::move(node));
      continue;
    }
    Node quantize;
    quantize.kind = OpKind::kQuantize;
    quantize.name = absl::StrCat(node.name, ".out");
    quantize.inputs = {plan.AddValue(quantize.name, plan.value(out).shape)};
    quantize.outputs = {out};
    node.outputs = quantize.inputs;
    nodes.push_back(std::move(node));
    nodes.push_back(std::move(quantize));
  }
  plan.nodes = std::move(nodes);
  return plan;
}

}  // namespace quantserve
