// Where the signal is lost: a line for everything up to a layer, a dot for the
// layer alone.
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "quant/report/chart.h"
#include "quant/report/format.h"
#include "quant/report/html.h"
#include "quant/report/page.h"

namespace quantserve::report {
namespace {

Series Of(const QuantizationReport& report,
          std::optional<double> LayerReport::*field) {
  Series series;
  for (const LayerReport& layer : report.layers) {
    series.push_back(
        (layer.*field).value_or(std::numeric_limits<double>::quiet_NaN()));
  }
  return series;
}

std::optional<size_t> Lowest(const Series& series) {
  std::optional<size_t> lowest;
  for (size_t i = 0; i < series.size(); ++i) {
    if (std::isnan(series[i])) continue;
    if (!lowest || series[i] < series[*lowest]) lowest = i;
  }
  return lowest;
}

std::optional<size_t> Last(const Series& series) {
  for (size_t i = series.size(); i-- > 0;) {
    if (!std::isnan(series[i])) return i;
  }
  return std::nullopt;
}

std::string Takeaway(const QuantizationReport& report, const Series& local,
                     const Series& cumulative) {
  std::string text;
  if (const auto last = Last(cumulative)) {
    absl::StrAppend(&text, "At the end of the model the signal stands <b>",
                    FormatDb(cumulative[*last]),
                    "</b> above the noise of quantization. ");
  }
  if (const auto lowest = Lowest(local)) {
    absl::StrAppend(&text, "The layer that loses most on its own is <b>",
                    Escape(report.layers[*lowest].name), "</b> (",
                    FormatDb(local[*lowest]), ").");
  }
  return absl::StrCat("<p>", text, "</p>\n");
}

}  // namespace

std::string SqnrSection(const QuantizationReport& report) {
  const Series local = Of(report, &LayerReport::local_sqnr_db);
  const Series cumulative = Of(report, &LayerReport::cumulative_sqnr_db);
  const auto lowest = Lowest(local), last = Last(cumulative);
  if (!lowest && !last) return "";
  Series both = local;
  both.insert(both.end(), cumulative.begin(), cumulative.end());
  LayerChart chart(report.layers, AxisFor(both), [](double db) {
    return std::abs(db) < 1e5 ? PlainNumber(db, 2) : FormatReal(db);
  });
  chart.AddIslands();
  chart.AddLine(local, "thin");
  chart.AddLine(cumulative, "thick");
  chart.AddDots(local, "");
  if (lowest) {
    chart.AddNote(*lowest, local[*lowest], false, report.layers[*lowest].name,
                  FormatDb(local[*lowest]));
  }
  if (last) {
    chart.AddNote(*last, cumulative[*last], true, "",
                  FormatDb(cumulative[*last]));
  }
  chart.AddTips([&](size_t i) {
    return absl::StrCat(i + 1, " ", report.layers[i].name, ": alone ",
                        FormatDb(local[i]), ", up to here ",
                        FormatDb(cumulative[i]),
                        report.layers[i].quantized ? "" : ", FP32");
  });
  return Section(
      "sqnr", "Where the signal is lost",
      absl::StrCat(
          Takeaway(report, local, cumulative),
          "<figure><p class=\"key\"><span><i class=\"k-line\"></i>everything "
          "up to the layer in INT8</span> <span><i class=\"k-dot\"></i>only "
          "this layer</span> <span><i class=\"k-band\"></i>stays in "
          "FP32</span></p>\n",
          chart.Html("sqnr-picture",
                     "Signal-to-noise ratio along the layers, in decibels"),
          "<figcaption>Signal-to-quantization-noise ratio (SQNR) of each "
          "layer’s output against FP32, in decibels; higher is better, 20\u202f"
          "dB is an error of a tenth. Layers from input to output."
          "</figcaption></figure>\n"));
}

}  // namespace quantserve::report
