#include "quant/search/function_ranges.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "quant/plan/quantize_plan.h"

namespace quantserve {
namespace {

// Functions of one value, at the middles of equal bins.
struct Sampled {
  Range bounds;
  std::vector<int64_t> counts;
  std::vector<float> middles;
  std::vector<std::vector<float>> functions;  // of each reader

  double width() const {
    return (double{bounds.hi} - bounds.lo) / static_cast<double>(counts.size());
  }
  // Function `f` at `x`, between the two middles that are nearest.
  double At(size_t f, double x) const {
    const std::vector<float>& y = functions[f];
    const double at = (x - middles[0]) / width();
    const double last = static_cast<double>(y.size() - 1);
    const double below = std::floor(std::clamp(at, 0.0, last - 1));
    const size_t i = static_cast<size_t>(below);
    // Outside the bins the line of the outermost two goes on.
    return y[i] + (at - below) * (double{y[i + 1]} - y[i]);
  }
};

// The readers of each value if all of them are kUnary, else none.
std::vector<std::vector<const Node*>> TableReaders(const Plan& plan) {
  std::vector<std::vector<const Node*>> readers(plan.values.size());
  std::vector<bool> others(plan.values.size(), false);
  for (ValueId id : plan.outputs) others[id] = true;
  for (const Node& node : plan.nodes) {
    for (ValueId id : node.inputs) {
      if (node.kind == OpKind::kUnary) {
        readers[id].push_back(&node);
      } else {
        others[id] = true;
      }
    }
  }
  // Those that share a grid with their writer's inputs are not free.
  for (const Node& node : plan.nodes) {
    const bool free = node.kind == OpKind::kConv2d ||
                      node.kind == OpKind::kLinear ||
                      node.kind == OpKind::kAdd || node.kind == OpKind::kMul ||
                      node.kind == OpKind::kUnary;
    for (ValueId id : node.outputs) others[id] = others[id] || !free;
  }
  for (size_t id = 0; id < readers.size(); ++id) {
    if (others[id]) readers[id].clear();
  }
  return readers;
}

bool Sample(const std::vector<const Node*>& readers,
            const ActivationHistogram& histogram, Sampled* sampled) {
  sampled->bounds = histogram.bounds;
  sampled->counts = histogram.counts;
  const size_t bins = histogram.counts.size();
  if (bins < 2 || !(sampled->width() > 0)) return false;
  for (size_t i = 0; i < bins; ++i) {
    sampled->middles.push_back(
        static_cast<float>(histogram.bounds.lo +
                           (static_cast<double>(i) + 0.5) * sampled->width()));
  }
  const Shape shape{1, static_cast<int64_t>(bins)};
  for (const Node* node : readers) {
    std::vector<float>& y = sampled->functions.emplace_back(bins);
    const auto& island = *std::get<UnaryAttrs>(node->attrs).island;
    if (!island.Run({sampled->middles.data()}, {shape}, {y.data()}, {shape})
             .ok()) {
      return false;
    }
    const auto finite = [](float v) { return std::isfinite(v); };
    if (!std::all_of(y.begin(), y.end(), finite)) return false;
  }
  return true;
}

double Error(const Sampled& sampled, const QuantParams& grid) {
  // What each step stands for, through each function.
  std::vector<std::vector<double>> steps(sampled.functions.size());
  for (size_t f = 0; f < steps.size(); ++f) {
    for (int q = QuantParams::kMin; q <= QuantParams::kMax; ++q) {
      steps[f].push_back(
          sampled.At(f, double{grid.scale} * (q - grid.zero_point)));
    }
  }
  double error = 0;
  for (size_t i = 0; i < sampled.counts.size(); ++i) {
    if (sampled.counts[i] == 0) continue;
    const double q = std::nearbyint(sampled.middles[i] / grid.scale) +
                     static_cast<double>(grid.zero_point);
    const size_t step = static_cast<size_t>(
        std::clamp<double>(q, QuantParams::kMin, QuantParams::kMax));
    double squares = 0;
    for (size_t f = 0; f < steps.size(); ++f) {
      const double difference = sampled.functions[f][i] - steps[f][step];
      squares += difference * difference;
    }
    error += squares * static_cast<double>(sampled.counts[i]);
  }
  return error;
}

}  // namespace

int FitRangesToFunctions(const Plan& plan, const Calibration& calibration,
                         RangeMap* ranges) {
  constexpr int kSteps = 24;  // of either end of the interval
  const auto readers = TableReaders(plan);
  int changed = 0;
  for (size_t id = 0; id < readers.size(); ++id) {
    const std::string& name = plan.values[id].name;
    const RangeEstimator* estimator = calibration.Find(name);
    const auto range = ranges->find(name);
    Sampled sampled;
    if (readers[id].empty() || estimator == nullptr || range == ranges->end() ||
        !Sample(readers[id], HistogramOf(*estimator), &sampled)) {
      continue;
    }
    Range best = range->second.affine;
    double least = Error(sampled, ChooseQuantParams(best, false));
    for (int lo = kSteps; lo >= 0; --lo) {
      for (int hi = kSteps; hi >= 0; --hi) {
        const Range candidate{sampled.bounds.lo * lo / kSteps,
                              sampled.bounds.hi * hi / kSteps};
        const double error =
            Error(sampled, ChooseQuantParams(candidate, false));
        if (!(error < least)) continue;
        least = error;
        best = candidate;
      }
    }
    if (best.lo == range->second.affine.lo &&
        best.hi == range->second.affine.hi) {
      continue;
    }
    range->second.affine = best;
    ++changed;
  }
  return changed;
}

}  // namespace quantserve
