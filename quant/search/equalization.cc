#include "quant/search/equalization.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "quant/plan/passes/equalize.h"

namespace quantserve {
namespace {

// The largest over the median.
double Spread(std::vector<float> ranges) {
  const auto middle = ranges.begin() + static_cast<int64_t>(ranges.size() / 2);
  std::nth_element(ranges.begin(), middle, ranges.end());
  const double median = *middle;
  const double largest = *std::max_element(ranges.begin(), ranges.end());
  return median > 0 ? largest / median : 1;
}

}  // namespace

bool EqualizationMayHelp(const Plan& plan) {
  constexpr double kStrongly = 8;
  for (const LayerPair& pair : EqualizablePairs(plan)) {
    for (const Node* node :
         {&plan.nodes[pair.first], &plan.nodes[pair.second]}) {
      const auto* conv = std::get_if<Conv2dAttrs>(&node->attrs);
      if (conv != nullptr && conv->groups > 1 &&
          conv->groups == plan.value(node->inputs[0]).shape[1]) {
        return true;
      }
    }
    if (Spread(OutputRanges(plan.nodes[pair.first])) > kStrongly ||
        Spread(InputRanges(plan.nodes[pair.second])) > kStrongly) {
      return true;
    }
  }
  return false;
}

std::vector<Equalization> FindEqualizations(const Plan& plan) {
  constexpr int kMaxRounds = 20;
  constexpr float kSettled = 1e-3f, kMost = 1000;
  const std::vector<LayerPair> pairs = EqualizablePairs(plan);
  std::vector<Equalization> result;
  for (const LayerPair& pair : pairs) {
    result.push_back({plan.nodes[pair.first].name, plan.nodes[pair.second].name,
                      std::vector<float>(pair.channels, 1.0f)});
  }
  Plan equalized = plan;
  for (int round = 0; round < kMaxRounds; ++round) {
    float change = 0;
    for (size_t p = 0; p < pairs.size(); ++p) {
      const auto r1 = OutputRanges(equalized.nodes[pairs[p].first]);
      const auto r2 = InputRanges(equalized.nodes[pairs[p].second]);
      std::vector<float>& factors = result[p].factors;
      Equalization step = result[p];
      for (size_t c = 0; c < factors.size(); ++c) {
        const bool dead = !(r1[c] > 0) || !(r2[c] > 0);
        const float wanted =
            dead ? factors[c] : factors[c] * std::sqrt(r1[c] / r2[c]);
        const float next = std::clamp(wanted, 1 / kMost, kMost);
        step.factors[c] = next / factors[c];
        change = std::max(change, std::fabs(std::log(step.factors[c])));
        factors[c] = next;
      }
      auto next = Equalize(std::move(equalized), {step});
      if (!next.ok()) return {};
      equalized = *std::move(next);
    }
    if (change < kSettled) break;
  }
  return result;
}

}  // namespace quantserve
