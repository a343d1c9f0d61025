// The picture of a histogram with the range that was chosen.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "quant/report/quantization_report.h"

namespace quantserve::report {

inline constexpr size_t kMaxBars = 128;

// `counts` in min(kMaxBars, counts.size()) bars that keep their sum; negative
// counts are none.
std::vector<double> Downsample(const std::vector<int64_t>& counts);

// Of all values those that are exactly zero, 0 to 1; NaN if there are none.
double ZeroShare(const ActivationHistogram& histogram);

// Logarithmic counts over the values seen, those outside the range in another
// colour, lines at the ends of the range, and the values at the ends of the
// picture. Empty where there is nothing to draw: no counts, bounds that are not
// an interval. `name` is ours and unique in the page.
std::string HistogramPicture(const ActivationReport& activation,
                             const std::string& name);

}  // namespace quantserve::report
