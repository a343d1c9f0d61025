// From the values that a tensor takes during calibration to the interval that
// its 8-bit form covers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace quantserve {

enum class RangeMethod {
  kMinMax,
  kMovingAverage,
  kPercentile,
  kMse,
  kEntropy,
  kAuto,  // whoever runs the quantization tries the others and takes the best
};

// "minmax", "moving_average", "percentile", "mse", "entropy", "auto".
const char* RangeMethodName(RangeMethod method);
// INVALID_ARGUMENT for any other name; the message lists the six.
absl::StatusOr<RangeMethod> ParseRangeMethod(absl::string_view name);

struct RangeOptions {
  RangeMethod method = RangeMethod::kMse;
  // kPercentile keeps this share of the values, in percent, and cuts the same
  // count off either end.
  double percentile = 99.99;
  // kMovingAverage: weight of a new batch's bounds.
  double averaging = 0.01;
  int bins = 2048;

  absl::Status Validate() const;
};

// A closed interval, lo <= 0 <= hi.
struct Range {
  float lo = 0;
  float hi = 0;
};

// Watches one tensor. Values are shown twice: first every batch to
// ObserveBounds, then, if NeedsHistogram(), every batch again to
// ObserveHistogram; then Estimate. Not thread-safe.
class RangeEstimator {
 public:
  explicit RangeEstimator(const RangeOptions& options);

  // INVALID_ARGUMENT if a value is NaN or infinite.
  absl::Status ObserveBounds(absl::Span<const float> values);
  bool NeedsHistogram() const;
  // Values outside the observed bounds count in the outermost bins.
  void ObserveHistogram(absl::Span<const float> values);
  // For an estimator that was copied from `whole` while that had seen the
  // bounds of a first part of the values only: takes over the histogram, which
  // `whole` has seen the same part of, over the bounds of all.
  void AdoptHistogram(const RangeEstimator& whole);

  // The interval for a grid of `levels` steps (256 for 8 bits); `symmetric`
  // asks for one that is centred on zero. All-zero tensors give [0, 0].
  Range Estimate(int levels, bool symmetric) const {
    return Estimate(options_, levels, symmetric);
  }
  // The same by another method, or with another percentile. Methods that need
  // a histogram give the bounds if none was observed, as kAuto does.
  Range Estimate(const RangeOptions& options, int levels, bool symmetric) const;

  int64_t observed() const { return observed_; }
  // The smallest and the largest value seen, zero included.
  Range bounds() const { return {min_, max_}; }
  // Equal bins over the bounds, exact zeros left out; empty if none was
  // observed. And how many zeros there were.
  std::vector<int64_t> HistogramCounts() const;
  int64_t HistogramZeros() const;
  // Which share of the values in the histogram lies outside `range`, 0 to 1; a
  // bin's values are taken as evenly spread. 0 without a histogram.
  double ClippedShare(const Range& range) const;

 private:
  Range EntropyRange(int levels, bool symmetric) const;
  Range MseRange(int levels, bool symmetric) const;
  Range PercentileRange(double percentile) const;

  const RangeOptions options_;
  int64_t observed_ = 0;
  bool first_ = true;
  float min_ = 0, max_ = 0;  // over all batches, zero included
  double average_min_ = 0, average_max_ = 0;
  // `bins` equal bins over `spread_`, then the counters of exact zeros.
  // Zero is on every grid, so it has no error; as ReLU makes zeros in masses,
  // counting them in a bin would favour grids that are fine near zero.
  std::vector<int64_t> histogram_;
  Range spread_;
};

}  // namespace quantserve
