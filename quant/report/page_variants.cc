#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "quant/report/format.h"
#include "quant/report/html.h"
#include "quant/report/page.h"
#include "quant/report/svg.h"

namespace quantserve::report {
namespace {

std::string Share(const std::optional<double>& share) {
  return share ? FormatPercent(*share) : kMissing;
}

std::string Key(const std::optional<double>& value) {
  return value ? PlainNumber(*value, 6) : "";
}

std::string Row(const VariantSummary& variant, double slowest) {
  const double p50 = absl::ToDoubleSeconds(variant.latency_p50);
  const double p99 = absl::ToDoubleSeconds(variant.latency_p99);
  const bool timed = p50 > 0 || p99 > 0;
  // Coloured by name: that is all that a summary tells about the precision.
  const bool int8 = absl::StartsWith(variant.name, "int8");
  return absl::StrCat(
      "<tr><th scope=\"row\">", Escape(variant.name), "</th>",
      TextCell(Escape(variant.engine), "Engine"),
      Cell(Key(variant.accuracy), Share(variant.accuracy), "Accuracy"),
      Cell(Key(variant.agreement), Share(variant.agreement), "Agreement"),
      Cell(Key(variant.sqnr_db),
           variant.sqnr_db ? FormatDb(*variant.sqnr_db) : kMissing, "SQNR"),
      Cell(PlainNumber(p50 * 1e6, 3),
           timed ? FormatElapsed(variant.latency_p50) : kMissing, "p50"),
      Cell(PlainNumber(p99 * 1e6, 3),
           timed ? FormatElapsed(variant.latency_p99) : kMissing, "p99"),
      "<td class=\"wide\" data-v=\"", PlainNumber(p50 * 1e6, 3), "\">",
      slowest > 0
          ? CellBar(p50 / slowest, p99 / slowest, int8 ? "int8" : "fp32")
          : "",
      "</td>",
      Cell(absl::StrCat(variant.size_bytes),
           variant.size_bytes > 0 ? FormatBytes(variant.size_bytes) : kMissing,
           "Size"),
      "</tr>\n");
}

}  // namespace

std::string VariantsSection(const ReportDocument& document) {
  if (document.variants.empty()) return "";
  double slowest = 0;
  for (const VariantSummary& variant : document.variants) {
    const absl::Duration most =
        std::max(variant.latency_p50, variant.latency_p99);
    if (most < absl::InfiniteDuration()) {
      slowest = std::max(slowest, absl::ToDoubleSeconds(most));
    }
  }
  std::string rows;
  for (const VariantSummary& variant : document.variants) {
    rows += Row(variant, slowest);
  }
  const std::string head = absl::StrCat(
      Head("Variant"), Head("Engine"), Head("Accuracy", true),
      Head("Agreement", true), Head("SQNR", true), Head("p50", true),
      Head("p99", true), Head("Latency, p50 and p99"), Head("Size", true));
  return Section(
      "variants", "The variants side by side",
      absl::StrCat(
          Table("variant-table", "Variants", head, rows), "<p class=\"small\">",
          document.evaluated_on.empty()
              ? ""
              : absl::StrCat("Measured on ", Escape(document.evaluated_on),
                             ". "),
          "Latency of one sample, batch 1: half (p50) and 99 of 100 (p99) "
          "answers came within. Agreement and SQNR are against FP32.</p>\n"));
}

}  // namespace quantserve::report
