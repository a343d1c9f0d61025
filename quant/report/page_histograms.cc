// One card for each layer: which values its output took, and which of them the
// 8-bit grid covers.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "quant/report/format.h"
#include "quant/report/histogram.h"
#include "quant/report/html.h"
#include "quant/report/page.h"

namespace quantserve::report {
namespace {

// Cards in one group; all but the first start folded.
constexpr size_t kGroup = 60;

std::string Fact(absl::string_view name, absl::string_view value) {
  return absl::StrCat("<div><dt>", name, "</dt><dd>", value, "</dd></div>");
}

std::string ActivationFacts(const ActivationReport& activation) {
  const double zeros = ZeroShare(activation.histogram);
  return absl::StrCat(
      Fact("range", absl::StrCat(FormatReal(activation.range.lo), " … ",
                                 FormatReal(activation.range.hi))),
      Fact("clipped", FormatPercent(activation.clipped_share)),
      Fact("zeros", FormatPercent(zeros)),
      Fact("step; zero at", absl::StrCat(FormatReal(activation.scale), "; ",
                                         activation.zero_point)));
}

std::string Card(const LayerReport& layer, size_t index) {
  const std::string number = absl::StrCat(index + 1);
  std::string picture, facts;
  if (layer.activation) {
    picture = HistogramPicture(*layer.activation, "p" + number);
    facts = ActivationFacts(*layer.activation);
  }
  if (layer.local_sqnr_db) {
    facts += Fact("alone", FormatDb(*layer.local_sqnr_db));
  }
  if (layer.cumulative_sqnr_db) {
    facts += Fact("up to here", FormatDb(*layer.cumulative_sqnr_db));
  }
  const std::string none = layer.activation ? "No histogram was kept."
                                            : "Its output has no 8-bit grid.";
  return absl::StrCat(
      "<article id=\"h", number, "\"><h3><span>", number, "</span> ",
      Escape(layer.name), " ", PrecisionBadge(layer.quantized), "<small>",
      Escape(layer.op), ", ", FormatShape(layer.output_shape), "</small></h3>",
      picture.empty() ? absl::StrCat("<p class=\"small\">", none, "</p>")
                      : picture,
      facts.empty() ? "" : absl::StrCat("<dl>", facts, "</dl>"),
      layer.reason.empty()
          ? ""
          : absl::StrCat("<p class=\"small\">", Escape(layer.reason), "</p>"),
      "</article>\n");
}

}  // namespace

std::string HistogramsSection(const QuantizationReport& report) {
  const size_t count = report.layers.size();
  if (count == 0) return "";
  std::string html;
  for (size_t from = 0; from < count; from += kGroup) {
    const size_t to = std::min(count, from + kGroup);
    std::string cards;
    for (size_t i = from; i < to; ++i) cards += Card(report.layers[i], i);
    cards = absl::StrCat("<div class=\"cards\">\n", cards, "</div>\n");
    html += count <= kGroup
                ? cards
                : absl::StrCat("<details", from == 0 ? " open" : "",
                               "><summary>Layers ", from + 1, " to ", to,
                               "</summary>\n", cards, "</details>\n");
  }
  return Section(
      "histograms", "Activations and their ranges",
      absl::StrCat(
          "<p class=\"key\"><span><i class=\"k-int8\"></i>values that the grid "
          "covers</span> <span><i class=\"k-clip\"></i>values that are "
          "clipped</span> <span><i class=\"k-range\"></i>ends of the "
          "range</span></p>\n<p class=\"small\">How "
          "often each output took which values during calibration. Counts are "
          "on a logarithmic scale; exact zeros, which every grid has, are left "
          "out and counted below. On such a scale what is "
          "clipped looks like more than it is.</p>\n",
          html));
}

}  // namespace quantserve::report
