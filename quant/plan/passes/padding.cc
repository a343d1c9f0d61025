#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/plan/passes/passes.h"

namespace quantserve {

namespace {

bool MovesBytes(OpKind kind) {
  return kind == OpKind::kPad || kind == OpKind::kReshape ||
         kind == OpKind::kSlice || kind == OpKind::kPermute ||
         kind == OpKind::kMaxPool || kind == OpKind::kConcat;
}

}  // namespace

std::vector<bool> HeldSigned(const Plan& plan) {
  std::vector<bool> held(plan.values.size());
  for (size_t i = 0; i < held.size(); ++i) {
    held[i] = plan.values[i].quant && plan.values[i].quant->zero_point == 128;
  }
  // Backwards: a value's readers are settled before the value.
  for (auto node = plan.nodes.rbegin(); node != plan.nodes.rend(); ++node) {
    if (node->kind == OpKind::kConv2d || node->kind == OpKind::kLinear) {
      held[node->inputs[0]] = false;
    } else if (MovesBytes(node->kind) && !held[node->outputs[0]]) {
      for (ValueId id : node->inputs) held[id] = false;
    }
  }
  return held;
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
