#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/plan/passes/passes.h"

namespace quantserve {

bool HeldSigned(const Plan& plan, ValueId id) {
  const auto& quant = plan.value(id).quant;
  if (!quant || quant->zero_point != 128) return false;
  for (const Node& node : plan.nodes) {
    const bool product =
        node.kind == OpKind::kConv2d || node.kind == OpKind::kLinear;
    if (product && node.inputs[0] == id) return false;
  }
  return true;
}

Plan MakePaddingExplicit(Plan plan) {
  std::vector<Node> nodes;
  for (Node& node : plan.nodes) {
    const ValueId in = node.inputs.empty() ? -1 : node.inputs[0];
    auto* attrs = std::get_if<Conv2dAttrs>(&node.attrs);
    if (node.kind != OpKind::kConv2d || !plan.value(in).quant ||
        plan.value(in).quant->zero_point == 0 ||
        attrs->padding == std::array<int64_t, 4>{0, 0, 0, 0}) {
      nodes.push_back(std::move(node));
      continue;
    }
    const auto [top, left, bottom, right] = attrs->padding;
    Shape shape = plan.value(in).shape;
    shape[2] += top + bottom;
    shape[3] += left + right;
    Node pad;
    pad.kind = OpKind::kPad;
    pad.name = absl::StrCat(node.name, ".padding");
    pad.inputs = {in};
    pad.outputs = {plan.AddValue(pad.name, shape, plan.value(in).quant)};
    pad.attrs = PadAttrs{{0, 0, top, left}, {0, 0, bottom, right}, 0};
    attrs->padding = {0, 0, 0, 0};
    node.inputs[0] = pad.outputs[0];
    nodes.push_back(std::move(pad));
    nodes.push_back(std::move(node));
  }
  plan.nodes = std::move(nodes);
  return plan;
}

}  // namespace quantserve
