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

void Replace(ValueId from, ValueId to, Plan* plan) {
  for (Node& node : plan->nodes) {
    std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  }
}

// A reshape of a reshape reads what the first one reads; one that gives back
// the shape of that is not needed at all.
bool JoinReshapes(Plan* plan) {
  bool changed = false;
  const std::vector<int> writers = Writers(*plan);
  for (Node& node : plan->nodes) {
    if (node.kind != OpKind::kReshape) continue;
    const int before = writers[node.inputs[0]];
    if (before >= 0 && plan->nodes[before].kind == OpKind::kReshape) {
      node.inputs[0] = plan->nodes[before].inputs[0];
      changed = true;
    }
    const ValueId in = node.inputs[0], out = node.outputs[0];
    const bool result =
        std::count(plan->outputs.begin(), plan->outputs.end(), out) > 0;
    if (!result && plan->value(in).shape == plan->value(out).shape &&
        CountReaders(*plan)[out] > 0) {
      Replace(out, in, plan);
      changed = true;
    }
  }
  return changed;
}

bool Elementwise(OpKind kind) {
  return kind == OpKind::kClamp || kind == OpKind::kUnary ||
         kind == OpKind::kAdd || kind == OpKind::kMul;
}

// Swaps the node with the reshapes that it reads.
bool SinkBehind(size_t at, const std::vector<int>& readers,
                const std::vector<int>& writers, Plan* plan) {
  Node& node = plan->nodes[at];
  if (!Elementwise(node.kind)) return false;
  int last = -1;
  for (ValueId id : node.inputs) {
    const int writer = writers[id];
    if (writer < 0 || readers[id] != 1 ||
        plan->nodes[writer].kind != OpKind::kReshape ||
        plan->value(id).shape != plan->value(node.outputs[0]).shape ||
        plan->value(plan->nodes[writer].inputs[0]).shape !=
            plan->value(plan->nodes[writers[node.inputs[0]]].inputs[0]).shape) {
      return false;
    }
    last = std::max(last, writer);
  }
  // The value that the last reshape made becomes the node's result.
  const ValueId between = plan->nodes[last].outputs[0];
  const ValueId out = node.outputs[0];
  for (ValueId& id : node.inputs) id = plan->nodes[writers[id]].inputs[0];
  plan->values[between].shape = plan->value(node.inputs[0]).shape;
  node.outputs = {between};
  node.name = plan->value(between).name;
  Node& reshape = plan->nodes[last];
  reshape.inputs = {between};
  reshape.outputs = {out};
  reshape.name = plan->value(out).name;
  std::swap(reshape, node);
  return true;
}

}  // namespace

void SinkReshapes(Plan* plan) {
  // Every round moves each reshape by one node at least.
  for (size_t round = 0; round <= plan->nodes.size(); ++round) {
    bool changed = JoinReshapes(plan);
    RemoveUnread(plan);
    for (size_t i = 0; i < plan->nodes.size(); ++i) {
      changed =
          SinkBehind(i, CountReaders(*plan), Writers(*plan), plan) || changed;
    }
    RemoveUnread(plan);
    if (!changed) return;
  }
}

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
    // People know the layer's name, and the old output is nobody's now.
    std::swap(plan->values[in].name, plan->values[clamp.outputs[0]].name);
    producer.outputs = clamp.outputs;
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
