#include "quant/ranges/range_estimator.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "quant/ranges/quantization_error.h"

namespace quantserve {
namespace {

struct MethodName {
  RangeMethod method;
  const char* name;
};
constexpr MethodName kMethods[] = {
    {RangeMethod::kMinMax, "minmax"},
    {RangeMethod::kMovingAverage, "moving_average"},
    {RangeMethod::kPercentile, "percentile"},
    {RangeMethod::kMse, "mse"},
    {RangeMethod::kEntropy, "entropy"},
    {RangeMethod::kAuto, "auto"},
};

// Ranges tried by kMse: 1/100, 2/100, … of the observed one.
constexpr int kShrinkFactors = 100;
// Zeros are counted in turn in this many places, so that the increments of a
// run of zeros don't wait for each other.
constexpr int kZeroCounters = 8;
// A narrower tensor is constant for all purposes, and its bins would leave the
// range of a float.
constexpr float kNarrowest = 1e-30F;

// Independent lanes, so that compilers vectorise minima and maxima without
// having to reorder floats.
constexpr size_t kLanes = 16;

struct Bounds {
  float min = 0, max = 0;
  bool finite = true;
};

Bounds FindBounds(absl::Span<const float> values) {
  std::array<float, kLanes> lo{}, hi{};
  std::array<uint32_t, kLanes> exponent{};
  const auto look = [&](const float* from, size_t lanes) {
    for (size_t l = 0; l < lanes; ++l) {
      uint32_t bits;
      std::memcpy(&bits, from + l, sizeof(bits));
      bits &= 0x7f800000;  // all ones: NaN or infinite
      exponent[l] = exponent[l] > bits ? exponent[l] : bits;
      lo[l] = from[l] < lo[l] ? from[l] : lo[l];
      hi[l] = from[l] > hi[l] ? from[l] : hi[l];
    }
  };
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    look(values.data() + i, kLanes);
  }
  look(values.data() + i, values.size() - i);
  Bounds bounds;
  bounds.min = *std::min_element(lo.begin(), lo.end());
  bounds.max = *std::max_element(hi.begin(), hi.end());
  bounds.finite =
      *std::max_element(exponent.begin(), exponent.end()) != 0x7f800000;
  return bounds;
}

Range Symmetric(Range range) {
  const float m = std::max(-range.lo, range.hi);
  return {-m, m};
}

}  // namespace

const char* RangeMethodName(RangeMethod method) {
  for (const MethodName& known : kMethods) {
    if (known.method == method) return known.name;
  }
  return "unknown";
}

absl::StatusOr<RangeMethod> ParseRangeMethod(absl::string_view name) {
  for (const MethodName& known : kMethods) {
    if (known.name == name) return known.method;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("range method \"", name,
                   "\" is unknown, expected minmax, moving_average, "
                   "percentile, mse, entropy or auto"));
}

absl::Status RangeOptions::Validate() const {
  if (!(percentile > 50 && percentile <= 100)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "range percentile is ", percentile, ", expected above 50, up to 100"));
  }
  if (!(averaging > 0 && averaging <= 1)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "range averaging is ", averaging, ", expected above 0, up to 1"));
  }
  constexpr int kMinBins = 16, kMaxBins = 1 << 20;
  if (bins < kMinBins || bins > kMaxBins) {
    return absl::InvalidArgumentError(absl::StrCat("range histograms have ",
                                                   bins, " bins, expected ",
                                                   kMinBins, " to ", kMaxBins));
  }
  return absl::OkStatus();
}

RangeEstimator::RangeEstimator(const RangeOptions& options)
    : options_(options) {}

absl::Status RangeEstimator::ObserveBounds(absl::Span<const float> values) {
  if (values.empty()) return absl::OkStatus();
  const Bounds bounds = FindBounds(values);
  if (!bounds.finite) {
    return absl::InvalidArgumentError(
        "a value is NaN or infinite, expected finite numbers");
  }
  const double weight = first_ ? 1 : options_.averaging;
  average_min_ += weight * (bounds.min - average_min_);
  average_max_ += weight * (bounds.max - average_max_);
  first_ = false;
  min_ = std::min(min_, bounds.min);
  max_ = std::max(max_, bounds.max);
  observed_ += static_cast<int64_t>(values.size());
  return absl::OkStatus();
}

bool RangeEstimator::NeedsHistogram() const {
  return options_.method != RangeMethod::kMinMax &&
         options_.method != RangeMethod::kMovingAverage;
}

void RangeEstimator::ObserveHistogram(absl::Span<const float> values) {
  if (histogram_.empty()) {
    histogram_.resize(options_.bins + kZeroCounters);
    spread_ = {min_, max_};
  }
  const double width = static_cast<double>(spread_.hi) - spread_.lo;
  if (width < kNarrowest) return;
  const float lo = spread_.lo;
  const float bins_per_unit = static_cast<float>(options_.bins / width);
  const float last = static_cast<float>(options_.bins - 1);
  // Bin numbers by vector instructions, then the increments one by one.
  constexpr size_t kBlock = 512;
  std::array<int32_t, kBlock> bin;
  int64_t* const counts = histogram_.data();
  for (size_t begin = 0; begin < values.size(); begin += kBlock) {
    const size_t n = std::min(kBlock, values.size() - begin);
    const float* const from = values.data() + begin;
    for (size_t i = 0; i < n; ++i) {
      float b = (from[i] - lo) * bins_per_unit;
      b = b < last ? b : last;
      b = b > 0 ? b : 0;
      const int32_t zero =
          options_.bins + static_cast<int32_t>(i % kZeroCounters);
      bin[i] = from[i] == 0 ? zero : static_cast<int32_t>(b);
    }
    for (size_t i = 0; i < n; ++i) ++counts[bin[i]];
  }
}

Range RangeEstimator::Estimate(const RangeOptions& options, int levels,
                               bool symmetric) const {
  Range range{min_, max_};
  switch (options.method) {
    case RangeMethod::kMinMax:
    case RangeMethod::kAuto:
      break;
    case RangeMethod::kMovingAverage:
      range = {static_cast<float>(average_min_),
               static_cast<float>(average_max_)};
      break;
    case RangeMethod::kPercentile:
      range = PercentileRange(options.percentile);
      break;
    case RangeMethod::kMse:
      return MseRange(levels, symmetric);
    case RangeMethod::kEntropy:
      return EntropyRange(levels, symmetric);
  }
  return symmetric ? Symmetric(range) : range;
}

Range RangeEstimator::MseRange(int levels, bool symmetric) const {
  const Range widest = symmetric ? Symmetric({min_, max_}) : Range{min_, max_};
  if (histogram_.empty() || static_cast<double>(max_) - min_ < kNarrowest) {
    return widest;
  }
  const absl::Span<const int64_t> counts =
      absl::MakeConstSpan(histogram_).first(options_.bins);
  Range best = widest;
  double least = std::numeric_limits<double>::infinity();
  // From the widest down: of equally good ranges the widest is taken.
  for (int i = kShrinkFactors; i >= 1; --i) {
    const float factor = static_cast<float>(i) / kShrinkFactors;
    const Range candidate{widest.lo * factor, widest.hi * factor};
    const double error =
        SquaredError(counts, spread_, GridFor(candidate, levels));
    if (error < least) {
      least = error;
      best = candidate;
    }
  }
  return best;
}

Range RangeEstimator::PercentileRange(double percentile) const {
  if (histogram_.empty()) return {min_, max_};
  const int bins = options_.bins;
  const double width = (static_cast<double>(spread_.hi) - spread_.lo) / bins;
  std::vector<int64_t> counts(histogram_.begin(), histogram_.begin() + bins);
  int64_t total = 0;
  for (int64_t count : histogram_) total += count;
  if (total == 0 || width * bins < kNarrowest) return {min_, max_};
  // Here zeros are values like any other.
  const int zero_bin =
      std::clamp(static_cast<int>(-spread_.lo / width), 0, bins - 1);
  for (int i = 0; i < kZeroCounters; ++i) {
    counts[zero_bin] += histogram_[bins + i];
  }
  const double cut = total * (1 - percentile / 100) / 2;
  // How far one may walk in from one end, within a bin in proportion.
  const auto walk = [&](auto begin, auto end) {
    double left = cut, bins_passed = 0;
    for (auto it = begin; it != end; ++it) {
      if (*it > left) return bins_passed + left / *it;
      left -= *it;
      bins_passed += 1;
    }
    return bins_passed;
  };
  const double lo = spread_.lo + width * walk(counts.begin(), counts.end());
  const double hi = spread_.hi - width * walk(counts.rbegin(), counts.rend());
  return {std::min(0.0F, static_cast<float>(lo)),
          std::max(0.0F, static_cast<float>(hi))};
}

void RangeEstimator::AdoptHistogram(const RangeEstimator& whole) {
  histogram_ = whole.histogram_;
  spread_ = whole.spread_;
}

Range RangeEstimator::EntropyRange(int levels, bool symmetric) const {
  const Range widest = symmetric ? Symmetric({min_, max_}) : Range{min_, max_};
  if (histogram_.empty() || static_cast<double>(max_) - min_ < kNarrowest) {
    return widest;
  }
  const absl::Span<const int64_t> counts =
      absl::MakeConstSpan(histogram_).first(options_.bins);
  Range best = widest;
  double least = std::numeric_limits<double>::infinity();
  for (int i = kShrinkFactors; i >= 1; --i) {
    const float factor = static_cast<float>(i) / kShrinkFactors;
    const Range candidate{widest.lo * factor, widest.hi * factor};
    const double divergence =
        QuantizationDivergence(counts, spread_, candidate, levels);
    if (divergence < least) {
      least = divergence;
      best = candidate;
    }
  }
  return best;
}

std::vector<int64_t> RangeEstimator::HistogramCounts() const {
  if (histogram_.empty()) return {};
  return {histogram_.begin(), histogram_.begin() + options_.bins};
}

int64_t RangeEstimator::HistogramZeros() const {
  if (histogram_.empty()) return 0;
  return std::accumulate(histogram_.begin() + options_.bins, histogram_.end(),
                         int64_t{0});
}

double RangeEstimator::ClippedShare(const Range& range) const {
  if (histogram_.empty()) return 0;
  const double width =
      (static_cast<double>(spread_.hi) - spread_.lo) / options_.bins;
  double outside = 0, total = static_cast<double>(HistogramZeros());
  for (int i = 0; i < options_.bins; ++i) {
    const double lo = spread_.lo + i * width;
    const double inside =
        std::min<double>(range.hi, lo + width) - std::max<double>(range.lo, lo);
    const double share =
        width > 0 ? std::clamp(1 - inside / width, 0.0, 1.0) : 0.0;
    outside += share * static_cast<double>(histogram_[i]);
    total += static_cast<double>(histogram_[i]);
  }
  return total > 0 ? outside / total : 0;
}

}  // namespace quantserve
