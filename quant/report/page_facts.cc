// What the quantization was made from, how long it took, and its notes.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "quant/report/format.h"
#include "quant/report/html.h"
#include "quant/report/page.h"
#include "quant/report/svg.h"

namespace quantserve::report {
namespace {

// Colours of phases repeat after this many.
constexpr size_t kPhaseColours = 6;

std::string Fact(absl::string_view name, const std::string& value,
                 absl::string_view css = "") {
  if (value.empty()) return "";
  return absl::StrCat("<dt>", Escape(name), "</dt><dd",
                      css.empty() ? "" : absl::StrCat(" class=\"", css, "\""),
                      ">", Escape(value), "</dd>\n");
}

std::string Count(int64_t count) { return count > 0 ? FormatCount(count) : ""; }

std::string Facts(const ReportDocument& document) {
  const QuantizationReport& report = document.quantization;
  std::string html = absl::StrCat(
      Fact("Model", document.model_path),
      Fact("Model, SHA-256", document.model_sha256, "code"),
      Fact("Shard",
           document.shard_path.empty() ? report.shard : document.shard_path),
      Fact("Shard, SHA-256", document.shard_sha256, "code"),
      Fact("Calibrated on", report.samples > 0
                                ? Plural(report.samples, "sample", "samples")
                                : ""),
      Fact("Held out for decisions", Count(report.held_out)),
      Fact("Ranges by", report.range_method),
      Fact("Bits of a weight",
           report.weight_bits > 0 ? absl::StrCat(report.weight_bits) : ""),
      Fact("Recipe, SHA-256", report.digest, "code"),
      Fact("Artifact", report.artifact));
  for (const auto& [name, value] : document.facts) html += Fact(name, value);
  return absl::StrCat("<dl class=\"facts\">\n", html, "</dl>\n");
}

std::string Phases(const QuantizationReport& report) {
  absl::Duration total;
  for (const auto& phase : report.phases) {
    total += std::max(absl::ZeroDuration(), phase.second);
  }
  const double whole = absl::ToDoubleSeconds(total);
  if (!(whole > 0) || total == absl::InfiniteDuration()) return "";
  std::vector<Part> parts;
  std::string key;
  for (size_t i = 0; i < report.phases.size(); ++i) {
    const auto& [name, time] = report.phases[i];
    const std::string css = absl::StrCat("phase", i % kPhaseColours);
    const double seconds = absl::ToDoubleSeconds(time);
    const std::string share = FormatPercent(std::max(0.0, seconds) / whole);
    parts.push_back(
        {seconds, css,
         absl::StrCat(Escape(name), ": ", FormatElapsed(time), ", ", share)});
    absl::StrAppend(&key, "<li><i class=\"k-", css, "\"></i>", Escape(name),
                    " <b>", FormatElapsed(time), "</b> <small>", share,
                    "</small></li>\n");
  }
  return absl::StrCat("<h3>Time: ", FormatElapsed(total), " in all</h3>\n",
                      StackedBar("phases-picture", "Time of each phase", parts),
                      "<ol class=\"phases\">\n", key, "</ol>\n");
}

std::string Notes(const QuantizationReport& report) {
  if (report.notes.empty()) return "";
  std::string items;
  for (const std::string& note : report.notes) {
    absl::StrAppend(&items, "<li>", Escape(note), "</li>\n");
  }
  return absl::StrCat("<h3>Notes</h3>\n<ul class=\"notes\">\n", items,
                      "</ul>\n");
}

}  // namespace

std::string FactsSection(const ReportDocument& document) {
  return Section("facts", "Where it comes from",
                 absl::StrCat(Notes(document.quantization), Facts(document),
                              Phases(document.quantization)));
}

}  // namespace quantserve::report
