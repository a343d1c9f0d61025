#include <algorithm>
#include <utility>

#include "quant/plan/passes/passes.h"

namespace quantserve {

Plan RemoveDeadNodes(Plan plan) {
  std::vector<bool> read(plan.values.size(), false);
  for (ValueId id : plan.outputs) read[id] = true;
  std::vector<Node> kept;
  for (auto node = plan.nodes.rbegin(); node != plan.nodes.rend(); ++node) {
    const bool alive = std::any_of(node->outputs.begin(), node->outputs.end(),
                                   [&](ValueId id) { return read[id]; });
    if (!alive) continue;
    for (ValueId id : node->inputs) read[id] = true;
    kept.push_back(std::move(*node));
  }
  std::reverse(kept.begin(), kept.end());
  plan.nodes = std::move(kept);
  return plan;
}

}  // namespace quantserve
