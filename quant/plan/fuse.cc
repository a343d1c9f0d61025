#include "quant/plan/fuse.h"

#include <algorithm>

namespace quantserve {
namespace {

// The index of the node that writes each value, -1 for inputs.
std::vector<int> Writers(const Plan& plan) {
  std::vector<int> writers(plan.values.size(), -1);
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    for (ValueId id : plan.nodes[i].outputs) writers[id] = static_cast<int>(i);
  }
  return writers;
}

}  // namespace

void FuseClamps(Plan* plan) {
  const std::vector<int> readers = CountReaders(*plan);
  const std::vector<int> writers = Writers(*plan);
  std::vector<bool> fused(plan->nodes.size(), false);
  for (size_t i = 0; i < plan->nodes.size(); ++i) {
    Node& clamp = plan->nodes[i];
    if (clamp.kind != OpKind::kClamp) continue;
    const ValueId in = clamp.inputs[0];
    if (writers[in] < 0 || readers[in] != 1) continue;
    Node& producer = plan->nodes[writers[in]];
    const bool takes = producer.kind == OpKind::kConv2d ||
                       producer.kind == OpKind::kLinear ||
                       producer.kind == OpKind::kAdd;
    if (!takes || producer.clamp) continue;
    producer.clamp = clamp.clamp;
    producer.outputs = clamp.outputs;
    producer.name = clamp.name;
    fused[i] = true;
  }
  std::vector<Node> kept;
  for (size_t i = 0; i < plan->nodes.size(); ++i) {
    if (!fused[i]) kept.push_back(std::move(plan->nodes[i]));
  }
  plan->nodes = std::move(kept);
}

void RemoveUnread(Plan* plan) {
  std::vector<bool> needed(plan->values.size(), false);
  for (ValueId id : plan->outputs) needed[id] = true;
  std::vector<Node> kept;
  for (auto node = plan->nodes.rbegin(); node != plan->nodes.rend(); ++node) {
    const bool read = std::any_of(node->outputs.begin(), node->outputs.end(),
                                  [&](ValueId id) { return needed[id]; });
    if (!read) continue;
    for (ValueId id : node->inputs) needed[id] = true;
    kept.push_back(std::move(*node));
  }
  std::reverse(kept.begin(), kept.end());
  plan->nodes = std::move(kept);

  // Renumber the values that are left.
  for (ValueId id : plan->inputs) needed[id] = true;
  for (const Node& node : plan->nodes) {
    for (ValueId id : node.outputs) needed[id] = true;
  }
  std::vector<ValueId> renumbered(plan->values.size(), -1);
  std::vector<Value> values;
  for (size_t id = 0; id < plan->values.size(); ++id) {
    if (!needed[id]) continue;
    renumbered[id] = static_cast<ValueId>(values.size());
    values.push_back(std::move(plan->values[id]));
  }
  plan->values = std::move(values);
  const auto renumber = [&renumbered](std::vector<ValueId>* ids) {
    for (ValueId& id : *ids) id = renumbered[id];
  };
  renumber(&plan->inputs);
  renumber(&plan->outputs);
  for (Node& node : plan->nodes) {
    renumber(&node.inputs);
    renumber(&node.outputs);
  }
}

}  // namespace quantserve
