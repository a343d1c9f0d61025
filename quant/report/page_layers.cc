// The table of layers, and what stays in FP32.
#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "quant/report/format.h"
#include "quant/report/html.h"
#include "quant/report/page.h"
#include "quant/report/svg.h"

namespace quantserve::report {
namespace {

// A table of more layers than this starts folded away.
constexpr size_t kOpenLayers = 150;
// Below this the error of an output is more than a tenth of it.
constexpr double kWeakDb = 20;
// Layers named for one reason; a folded list has the rest.
constexpr size_t kNamed = 12;

std::string DbCell(const std::optional<double>& db) {
  if (!db) return Cell("", kMissing);
  // Infinite sorts above everything finite.
  const std::string key =
      std::isinf(*db) && *db > 0 ? "9e9" : PlainNumber(*db, 3);
  return Cell(std::isnan(*db) ? "" : key,
              *db < kWeakDb ? absl::StrCat("<em>", FormatDb(*db), "</em>")
                            : FormatDb(*db));
}

std::string TimeCell(const std::optional<absl::Duration>& time) {
  if (!time) return Cell("", kMissing);
  return Cell(PlainNumber(absl::ToDoubleMicroseconds(*time), 3),
              FormatElapsed(*time));
}

std::string ShapeCell(const Shape& shape) {
  double elements = 1;
  for (int64_t dim : shape) elements *= static_cast<double>(dim);
  return Cell(PlainNumber(elements, 0), FormatShape(shape));
}

std::string RangeCells(const std::optional<ActivationReport>& activation) {
  if (!activation) return Cell("", kMissing) + Cell("", kMissing);
  const Range& range = activation->range;
  return Cell(PlainNumber(static_cast<double>(range.hi) - range.lo, 6),
              absl::StrCat(FormatReal(range.lo), " … ", FormatReal(range.hi))) +
         Cell(PlainNumber(activation->clipped_share, 9),
              FormatPercent(activation->clipped_share));
}

std::string Row(const LayerReport& layer, size_t index, double total,
                double largest) {
  const double macs = std::max(0.0, static_cast<double>(layer.macs));
  const std::string number = absl::StrCat(index + 1);
  return absl::StrCat(
      layer.quantized ? "<tr>" : "<tr class=\"f\">", "<td class=\"n\">", number,
      "</td><th scope=\"row\"><a href=\"#h", number, "\">", Escape(layer.name),
      "</a></th>", TextCell(Escape(layer.op)), ShapeCell(layer.output_shape),
      Cell(PlainNumber(macs, 0),
           macs > 0 ? absl::StrCat(FormatPercent(macs / total),
                                   CellBar(macs / largest, 0,
                                           layer.quantized ? "int8" : "fp32"))
                    : kMissing),
      RangeCells(layer.activation), DbCell(layer.local_sqnr_db),
      DbCell(layer.cumulative_sqnr_db), TimeCell(layer.fp32_time),
      TimeCell(layer.int8_time), "<td class=\"why\">",
      PrecisionBadge(layer.quantized),
      layer.reason.empty() ? "" : absl::StrCat(" ", Escape(layer.reason)),
      "</td></tr>\n");
}

std::string NameList(const QuantizationReport& report,
                     const std::vector<size_t>& layers, size_t from,
                     size_t to) {
  std::string html;
  for (size_t i = from; i < to; ++i) {
    const LayerReport& layer = report.layers[layers[i]];
    absl::StrAppend(&html, "<li><a href=\"#h", layers[i] + 1, "\">",
                    Escape(layer.name), "</a> <small>", Escape(layer.op),
                    "</small></li>");
  }
  return absl::StrCat("<ul class=\"chips\">", html, "</ul>");
}

std::string Island(const QuantizationReport& report, const std::string& reason,
                   const std::vector<size_t>& layers) {
  const double total = TotalMacs(report);
  double macs = 0;
  for (size_t i : layers) {
    macs += std::max(0.0, static_cast<double>(report.layers[i].macs));
  }
  const size_t named = std::min(layers.size(), kNamed);
  return absl::StrCat(
      "<li><p><strong>", reason.empty() ? "No reason given" : Escape(reason),
      "</strong> ",
      Plural(static_cast<int64_t>(layers.size()), "layer", "layers"),
      total > 0 ? absl::StrCat(", ", FormatPercent(macs / total),
                               " of the multiply–accumulates")
                : "",
      "</p>", NameList(report, layers, 0, named),
      named == layers.size()
          ? ""
          : absl::StrCat(
                "<details><summary>", layers.size() - named, " more</summary>",
                NameList(report, layers, named, layers.size()), "</details>"),
      "</li>\n");
}

}  // namespace

std::string IslandsSection(const QuantizationReport& report) {
  if (report.layers.empty()) return "";
  std::vector<std::string> reasons;  // in the order of their first layers
  std::map<std::string, std::vector<size_t>> layers;
  for (size_t i = 0; i < report.layers.size(); ++i) {
    const LayerReport& layer = report.layers[i];
    if (layer.quantized) continue;
    if (layers.find(layer.reason) == layers.end()) {
      reasons.push_back(layer.reason);
    }
    layers[layer.reason].push_back(i);
  }
  std::string html;
  for (const std::string& reason : reasons) {
    html += Island(report, reason, layers[reason]);
  }
  return Section(
      "islands", "What stays in FP32, and why",
      html.empty() ? "<p>Nothing: every layer runs in INT8.</p>\n"
                   : absl::StrCat("<ul class=\"islands\">\n", html, "</ul>\n"));
}

std::string LayersSection(const QuantizationReport& report) {
  if (report.layers.empty()) return "";
  const double total = TotalMacs(report);
  double largest = 0;
  for (const LayerReport& layer : report.layers) {
    largest = std::max(largest, static_cast<double>(layer.macs));
  }
  std::string rows;
  for (size_t i = 0; i < report.layers.size(); ++i) {
    rows += Row(report.layers[i], i, total, largest);
  }
  const std::string head = absl::StrCat(
      Head("№", true), Head("Layer"), Head("Operator"), Head("Output", true),
      Head("Compute", true), Head("Range", true), Head("Clipped", true),
      Head("SQNR, alone", true), Head("SQNR, up to here", true),
      Head("Time FP32", true), Head("Time INT8", true),
      Head("Precision and why"));
  const size_t count = report.layers.size();
  return Section(
      "layers", "Layer by layer",
      absl::StrCat(
          "<details", count <= kOpenLayers ? " open" : "", "><summary>",
          Plural(static_cast<int64_t>(count), "layer", "layers"),
          ", from input to output</summary>\n",
          Table("layer-table", "Layers", head, rows),
          "<p class=\"small\">Range: the real numbers that the output’s 8-bit "
          "grid covers; clipped: the share of observed values outside. SQNR "
          "against FP32 with only this layer quantized, and with everything up "
          "to it; below ",
          PlainNumber(kWeakDb, 0),
          "\u202fdB it is <em>marked</em>. Times in the FP32 and in the INT8 "
          "model, "
          "one "
          "sample. A name leads to the layer’s histogram.</p></details>\n"));
}

}  // namespace quantserve::report
