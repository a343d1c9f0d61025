#include "quant/ranges/quantization_error.h"

#include <algorithm>
#include <cmath>

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

}  // namespace quantserve
