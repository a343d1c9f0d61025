#include "quant/report/histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "quant/report/format.h"
#include "quant/report/svg.h"

namespace quantserve::report {
namespace {

// A range may reach beyond what was seen, but the bars stay visible: at most
// this many times their width is drawn on either side.
constexpr double kMaxBeyond = 1.5;

struct View {
  double lo, hi;
  double X(double value) const { return 100 * (value - lo) / (hi - lo); }
};

View ViewOf(const ActivationReport& activation) {
  const double lo = activation.histogram.bounds.lo;
  const double hi = activation.histogram.bounds.hi;
  const double beyond = (hi - lo) * kMaxBeyond;
  View view{lo, hi};
  if (std::isfinite(activation.range.lo) &&
      std::isfinite(activation.range.hi)) {
    view.lo = std::min(lo, std::max<double>(activation.range.lo, lo - beyond));
    view.hi = std::max(hi, std::min<double>(activation.range.hi, hi + beyond));
  }
  // Room for the lines at the ends.
  const double margin = (view.hi - view.lo) * 0.01;
  return {view.lo - margin, view.hi + margin};
}

std::vector<double> LogHeights(const std::vector<double>& bars) {
  double most = 0;
  for (double bar : bars) most = std::max(most, bar);
  std::vector<double> heights;
  for (double bar : bars) {
    // A single value is still a hair high.
    heights.push_back(bar > 0 ? std::log1p(bar) / std::log1p(most) : 0);
  }
  return heights;
}

std::string Mark(double x, const char* css) {
  if (x < 0 || x > 100) return "";
  const std::string at = PlainNumber(x, 2);
  return absl::StrCat("<line class=\"", css, "\" x1=\"", at, "%\" x2=\"", at,
                      "%\" y1=\"0\" y2=\"100%\"/>");
}

}  // namespace

std::vector<double> Downsample(const std::vector<int64_t>& counts) {
  const size_t bars = std::min(kMaxBars, counts.size());
  std::vector<double> sums(bars, 0);
  for (size_t i = 0; i < counts.size(); ++i) {
    sums[i * bars / counts.size()] +=
        static_cast<double>(std::max<int64_t>(0, counts[i]));
  }
  return sums;
}

double ZeroShare(const ActivationHistogram& histogram) {
  double others = 0;
  for (int64_t count : histogram.counts) {
    others += static_cast<double>(std::max<int64_t>(0, count));
  }
  const double zeros =
      static_cast<double>(std::max<int64_t>(0, histogram.zeros));
  if (zeros + others == 0) return std::numeric_limits<double>::quiet_NaN();
  return zeros / (zeros + others);
}

std::string HistogramPicture(const ActivationReport& activation,
                             const std::string& name) {
  const ActivationHistogram& histogram = activation.histogram;
  const double lo = histogram.bounds.lo, hi = histogram.bounds.hi;
  if (histogram.counts.empty() || !std::isfinite(lo) || !std::isfinite(hi) ||
      hi <= lo) {
    return "";
  }
  const std::vector<double> heights = LogHeights(Downsample(histogram.counts));
  const double bar = (hi - lo) / static_cast<double>(heights.size());
  // Bars whose centres lie inside the range.
  size_t first = 0, end = 0;
  for (size_t i = 0; i < heights.size(); ++i) {
    const double centre = lo + (static_cast<double>(i) + 0.5) * bar;
    if (centre < activation.range.lo) first = i + 1;
    if (centre <= activation.range.hi) end = i + 1;
  }
  end = std::max(first, end);
  const View view = ViewOf(activation);
  const std::string box = absl::StrCat(
      "<svg class=\"over\" width=\"100%\" height=\"100%\" viewBox=\"",
      PlainNumber((view.lo - lo) / bar, 3), " 0 ",
      PlainNumber((view.hi - view.lo) / bar, 3),
      " 100\" preserveAspectRatio=\"none\"><path class=\"int8\" d=\"",
      ColumnsPath(heights, first, end), "\"/><path class=\"clip\" d=\"",
      ColumnsPath(heights, 0, first), ColumnsPath(heights, end, heights.size()),
      "\"/></svg>");
  const std::string title = absl::StrCat(
      "Histogram from ", FormatReal(lo), " to ", FormatReal(hi), "; range ",
      FormatReal(activation.range.lo), " to ", FormatReal(activation.range.hi));
  return absl::StrCat(
      Picture("hist", name, title,
              absl::StrCat(Mark(view.X(0), "origin"), box,
                           Mark(view.X(activation.range.lo), "range"),
                           Mark(view.X(activation.range.hi), "range"))),
      "<p class=\"ends\"><span>", FormatReal(lo), "</span><span>",
      FormatReal(hi), "</span></p>");
}

}  // namespace quantserve::report
