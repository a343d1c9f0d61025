#include <algorithm>
#include <utility>

#include "quant/plan/passes/passes.h"

namespace quantserve {
namespace {

bool IsProduct(const Node& node) {
  return node.kind == OpKind::kConv2d || node.kind == OpKind::kLinear;
}

int64_t Work(const Plan& plan, const Node& node) {
  const Tensor& w = *node.weights.data;
  return plan.value(node.outputs[0]).elements() * (w.elements() / w.shape()[0]);
}

// Index of the node that writes each value; -1 for inputs.
std::vector<int> Writers(const Plan& plan) {
  std::vector<int> writers(plan.values.size(), -1);
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    for (ValueId id : plan.nodes[i].outputs) writers[id] = static_cast<int>(i);
  }
  return writers;
}

// The operand of `add` whose product can take the addition over: the one that
// does more work, since its result is spared a rounding. -1 if there is none.
int FusibleOperand(const Plan& plan, const Node& add,
                   const std::vector<int>& writers,
                   const std::vector<int>& readers) {
  if (plan.value(add.inputs[0]).shape != plan.value(add.inputs[1]).shape ||
      add.inputs[0] == add.inputs[1]) {
    return -1;
  }
  int best = -1;
  int64_t most = -1;
  for (int i = 0; i < 2; ++i) {
    const ValueId id = add.inputs[i];
    if (writers[id] < 0 || readers[id] != 1) continue;
    const Node& node = plan.nodes[writers[id]];
    if (!IsProduct(node) || node.clamp || node.inputs.size() != 1) continue;
    if (Work(plan, node) > most) {
      most = Work(plan, node);
      best = i;
    }
  }
  return best;
}

}  // namespace

Plan FuseResidualAdds(Plan plan) {
  const std::vector<int> writers = Writers(plan);
  const std::vector<int> readers = CountReaders(plan);
  std::vector<bool> moved(plan.nodes.size(), false);
  for (Node& add : plan.nodes) {
    if (add.kind != OpKind::kAdd) continue;
    const int operand = FusibleOperand(plan, add, writers, readers);
    if (operand < 0) continue;
    // The product moves to where the addition is: only there are both of its
    // inputs known to be written.
    const int from = writers[add.inputs[operand]];
    Node product = plan.nodes[from];
    product.inputs.push_back(add.inputs[1 - operand]);
    product.outputs = add.outputs;
    product.clamp = add.clamp;
    moved[from] = true;
    add = std::move(product);
  }
  std::vector<Node> kept;
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    if (!moved[i]) kept.push_back(std::move(plan.nodes[i]));
  }
  plan.nodes = std::move(kept);
  return plan;
}

}  // namespace quantserve
