// Where the multiply-accumulates and the time go, and in which precision.
#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "quant/report/chart.h"
#include "quant/report/format.h"
#include "quant/report/html.h"
#include "quant/report/page.h"

namespace quantserve::report {
namespace {

using Time = std::optional<absl::Duration> LayerReport::*;

// One bar: how much of `total` the two precisions have.
std::string Split(const std::string& name, const std::string& what, double int8,
                  double total) {
  const double share = int8 / total;
  const std::string int8_text = FormatPercent(share),
                    fp32_text = FormatPercent(1 - share);
  return absl::StrCat(
      "<div class=\"split\"><span>", what, "</span>",
      StackedBar(name,
                 absl::StrCat(what, ": INT8 ", int8_text, ", FP32 ", fp32_text),
                 {{int8, "int8", "INT8 " + int8_text},
                  {total - int8, "fp32", "FP32 " + fp32_text}}),
      "<span><b class=\"int8\">INT8</b> ", int8_text,
      " <b class=\"fp32\">FP32</b> ", fp32_text, "</span></div>\n");
}

std::string MacsChart(const QuantizationReport& report, double total) {
  Series shares;
  for (const LayerReport& layer : report.layers) {
    shares.push_back(std::max(0.0, static_cast<double>(layer.macs)) / total);
  }
  LayerChart chart(report.layers, AxisFor(shares), [](double share) {
    return PlainNumber(share * 100, 2) + "\u202f%";
  });
  chart.AddIslands();
  chart.AddBars(shares, 0.8, "");
  chart.AddTips([&](size_t i) {
    return absl::StrCat(i + 1, " ", report.layers[i].name, ": ",
                        FormatPercent(shares[i]), " of all, ",
                        FormatSi(report.layers[i].macs), " in ",
                        report.layers[i].quantized ? "INT8" : "FP32");
  });
  return absl::StrCat(
      "<figure>",
      chart.Html("macs-picture", "Share of the multiply–accumulates by layer"),
      "<figcaption>Share of the model’s ",
      FormatSi(static_cast<int64_t>(std::min(total, 9e18))),
      " multiply–accumulates (MACs), by layer.</figcaption></figure>\n");
}

Series Seconds(const QuantizationReport& report, Time time) {
  Series seconds;
  for (const LayerReport& layer : report.layers) {
    seconds.push_back((layer.*time) ? absl::ToDoubleSeconds(*(layer.*time))
                                    : std::numeric_limits<double>::quiet_NaN());
  }
  return seconds;
}

std::string TimeChart(const QuantizationReport& report) {
  const Series fp32 = Seconds(report, &LayerReport::fp32_time);
  const Series int8 = Seconds(report, &LayerReport::int8_time);
  Series both = fp32;
  both.insert(both.end(), int8.begin(), int8.end());
  LayerChart chart(report.layers, AxisFor(both), [](double seconds) {
    return FormatElapsed(absl::Seconds(seconds));
  });
  chart.AddIslands();
  chart.AddBars(fp32, 0.9, "behind");
  chart.AddBars(int8, 0.5, "");
  chart.AddTips([&](size_t i) {
    const LayerReport& layer = report.layers[i];
    const auto text = [](const std::optional<absl::Duration>& time) {
      return time ? FormatElapsed(*time) : kMissing;
    };
    return absl::StrCat(i + 1, " ", layer.name, ": ", text(layer.fp32_time),
                        " in the FP32 model, ", text(layer.int8_time),
                        " in the INT8 model");
  });
  return absl::StrCat(
      "<figure><p class=\"key\"><span><i class=\"k-behind\"></i>in the FP32 "
      "model</span> <span><i class=\"k-int8\"></i>in the INT8 model, as "
      "INT8</span> <span><i class=\"k-fp32\"></i>in the INT8 model, as "
      "FP32</span></p>\n",
      chart.Html("time-picture", "Time of each layer in both models"),
      "<figcaption>Time of each layer, one sample, batch 1.</figcaption>"
      "</figure>\n");
}

// "Half of the work is done by 9 of 62 layers."
std::string Takeaway(const QuantizationReport& report, double total) {
  std::vector<double> macs;
  for (const LayerReport& layer : report.layers) {
    macs.push_back(std::max(0.0, static_cast<double>(layer.macs)));
  }
  std::sort(macs.rbegin(), macs.rend());
  double sum = 0;
  size_t count = 0;
  while (count < macs.size() && sum < total / 2) sum += macs[count++];
  return absl::StrCat(
      "<p>Half of the multiply–accumulates are in ",
      FormatCount(static_cast<int64_t>(count)), " of ",
      Plural(static_cast<int64_t>(macs.size()), "layer", "layers"), ".</p>\n");
}

}  // namespace

double TotalMacs(const QuantizationReport& report) {
  double total = 0;
  for (const LayerReport& layer : report.layers) {
    total += std::max(0.0, static_cast<double>(layer.macs));
  }
  return total;
}

absl::Duration TotalTime(const QuantizationReport& report, Time time) {
  absl::Duration total;
  for (const LayerReport& layer : report.layers) {
    total += std::max(absl::ZeroDuration(),
                      (layer.*time).value_or(absl::ZeroDuration()));
  }
  return total;
}

std::string ComputeSection(const QuantizationReport& report) {
  const double total = TotalMacs(report);
  const double time =
      absl::ToDoubleSeconds(TotalTime(report, &LayerReport::int8_time));
  const bool timed =
      time > 0 || TotalTime(report, &LayerReport::fp32_time) > absl::Duration();
  double int8 = 0, int8_time = 0;
  for (const LayerReport& layer : report.layers) {
    if (!layer.quantized) continue;
    int8 += std::max(0.0, static_cast<double>(layer.macs));
    int8_time += absl::ToDoubleSeconds(std::max(
        absl::ZeroDuration(), layer.int8_time.value_or(absl::ZeroDuration())));
  }
  std::string html;
  if (total > 0) {
    html += Takeaway(report, total);
    html += Split("macs-split", "Multiply–accumulates", int8, total);
  }
  if (time > 0 && std::isfinite(time)) {
    html += Split("time-split", "Time of the INT8 model", int8_time, time);
  }
  if (total > 0) html += MacsChart(report, total);
  if (timed) html += TimeChart(report);
  return html.empty() ? "" : Section("compute", "Where compute goes", html);
}

}  // namespace quantserve::report
