#include "quant/ranges/quantization_error.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace quantserve {
namespace {

// The integral from 0 to t of the squared distance to the nearest grid point,
// in steps: the grid is the integers first … last.
//
// Within the grid the error is a saw tooth: a whole step contributes 1/12, and
// r beyond (or short of) a grid point r^3/3. Outside, the distance to the last
// point grows from 0, which is the same formula with the point held fast.
double ErrorIntegral(double t, const Grid& grid) {
  const double nearest = std::clamp(std::nearbyint(t), grid.first, grid.last);
  const double r = t - nearest;
  return nearest / 12 + r * r * r / 3;
}

}  // namespace

Grid GridFor(const Range& range, int levels) {
  const int steps = levels - 1;
  Grid grid;
  grid.scale = (static_cast<double>(range.hi) - range.lo) / steps;
  if (!(grid.scale > 0)) return grid;
  const double zero_point = std::round(-range.lo / grid.scale);
  grid.first = -zero_point;
  grid.last = steps - zero_point;
  return grid;
}

double SquaredError(absl::Span<const int64_t> counts, const Range& bounds,
                    const Grid& grid) {
  const double lo = bounds.lo / grid.scale;
  const double width =
      (static_cast<double>(bounds.hi) - bounds.lo) / grid.scale / counts.size();
  double sum = 0;
  double before = ErrorIntegral(lo, grid);
  for (size_t i = 0; i < counts.size(); ++i) {
    const double after =
        ErrorIntegral(lo + static_cast<double>(i + 1) * width, grid);
    sum += static_cast<double>(counts[i]) * (after - before);
    before = after;
  }
  return sum / width * grid.scale * grid.scale;
}

double QuantizationDivergence(absl::Span<const int64_t> counts,
                              const Range& bounds, const Range& range,
                              int levels) {
  const int64_t bins = static_cast<int64_t>(counts.size());
  const double width =
      (static_cast<double>(bounds.hi) - bounds.lo) / static_cast<double>(bins);
  // The bins of the range: whole ones, at least one.
  const int64_t first = std::clamp<int64_t>(
      std::llround((double{range.lo} - bounds.lo) / width), 0, bins - 1);
  const int64_t end = std::clamp<int64_t>(
      std::llround((double{range.hi} - bounds.lo) / width), first + 1, bins);
  const int64_t kept = end - first;
  std::vector<double> p(counts.begin() + first, counts.begin() + end);
  double below = 0, above = 0, inside = 0;
  for (int64_t i = 0; i < first; ++i) below += static_cast<double>(counts[i]);
  for (int64_t i = end; i < bins; ++i) above += static_cast<double>(counts[i]);
  for (double count : p) inside += count;
  if (!(inside > 0)) return std::numeric_limits<double>::infinity();

  // q, before `p` gets the outliers.
  std::vector<double> q(kept, 0.0);
  for (int64_t step = 0; step < levels; ++step) {
    const int64_t from = step * kept / levels;
    const int64_t to = (step + 1) * kept / levels;
    double sum = 0, used = 0;
    for (int64_t i = from; i < to; ++i) {
      sum += p[i];
      used += p[i] > 0 ? 1 : 0;
    }
    for (int64_t i = from; i < to; ++i) {
      if (p[i] > 0) q[i] = sum / used;
    }
  }
  p.front() += below;
  p.back() += above;
  const double total = inside + below + above;
  // A bin that holds outliers only has no match in q. TensorRT's pseudocode
  // leaves the case open; a millionth of a value keeps the sum finite, large.
  constexpr double kNothing = 1e-6;
  double divergence = 0;
  for (int64_t i = 0; i < kept; ++i) {
    if (!(p[i] > 0)) continue;
    divergence +=
        p[i] / total *
        std::log((p[i] / total) / (std::max(q[i], kNothing) / inside));
  }
  return divergence;
}

}  // namespace quantserve
