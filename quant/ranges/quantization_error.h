// What quantizing costs: the error formula behind the MSE ranges.
#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "quant/ranges/range_estimator.h"

namespace quantserve {

// The real numbers scale * k, first <= k <= last.
struct Grid {
  double scale = 0;
  double first = 0;
  double last = 0;
};

// The grid of `levels` steps that an affine quantizer makes of `range`:
// scale = (hi - lo) / (levels - 1), zero_point = round(-lo / scale), so that
// zero is on it. Rounding the zero point moves the ends by up to half a step.
Grid GridFor(const Range& range, int levels);

// The sum over all values of the squared distance to the nearest grid point.
// `counts` are equal bins over `bounds`, the values of a bin taken as evenly
// spread: the integral of the squared error over each bin, exactly, whether a
// bin is narrower than a step or wider.
double SquaredError(absl::Span<const int64_t> counts, const Range& bounds,
                    const Grid& grid);

// How much is lost of the distribution that `counts`, equal bins over `bounds`,
// stand for, when values beyond `range` are put at its ends and the rest is
// told apart by `levels` steps only: the Kullback-Leibler divergence
// sum p ln(p / q), as TensorRT's entropy calibration has it (S. Migacz, "8-bit
// Inference with TensorRT", GTC 2017, "Entropy Calibration - pseudocode"). p is
// the distribution within the range, outliers added to its outermost bins; q is
// the one without outliers, summed up by step, each sum spread evenly over
// those bins of the step that are not empty. Both are normalised. `range` may
// have one side or two and any bounds inside `bounds`: TensorRT's case is
// [0, t]. Infinity if no value lies within the range.
double QuantizationDivergence(absl::Span<const int64_t> counts,
                              const Range& bounds, const Range& range,
                              int levels);

}  // namespace quantserve
