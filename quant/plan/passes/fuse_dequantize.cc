#include "quant/plan/passes/passes.h"

namespace quantserve {

Plan FuseDequantize(Plan plan, const std::set<OpKind>& kinds) {
  const std::vector<int> readers = CountReaders(plan);
  std::vector<Node*> writer(plan.values.size(), nullptr);
  std::vector<Node> kept;
  kept.reserve(plan.nodes.size());  // `writer` points into it
  for (Node& node : plan.nodes) {
    if (node.kind == OpKind::kDequantize && readers[node.inputs[0]] == 1) {
      Node* product = writer[node.inputs[0]];
      const bool fits = product != nullptr && product->inputs.size() == 1 &&
                        kinds.count(product->kind) > 0;
      if (fits) {
        product->outputs = node.outputs;
        continue;
      }
    }
    kept.push_back(std::move(node));
    for (ValueId id : kept.back().outputs) writer[id] = &kept.back();
  }
  plan.nodes = std::move(kept);
  return plan;
}

}  // namespace quantserve
