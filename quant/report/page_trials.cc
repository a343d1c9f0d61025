#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "quant/report/format.h"
#include "quant/report/html.h"
#include "quant/report/page.h"
#include "quant/report/svg.h"

namespace quantserve::report {
namespace {

std::string Row(const TrialReport& trial, double best, bool labelled) {
  return absl::StrCat(
      trial.kept ? "<tr class=\"kept\">" : "<tr>", "<th scope=\"row\">",
      Escape(trial.what), "</th>",
      TextCell(trial.kept ? "<span class=\"good\">✓ kept</span>" : "not kept",
               "Outcome"),
      Cell(PlainNumber(trial.sqnr_db, 4), FormatDb(trial.sqnr_db), "SQNR"),
      "<td class=\"wide\">",
      best > 0
          ? CellBar(trial.sqnr_db / best, 0, trial.kept ? "int8" : "behind")
          : "",
      "</td>",
      Cell(PlainNumber(trial.agreement, 6), FormatPercent(trial.agreement),
           "Agreement"),
      labelled
          ? Cell(trial.accuracy ? PlainNumber(*trial.accuracy, 6) : "",
                 trial.accuracy ? FormatPercent(*trial.accuracy) : kMissing,
                 "Accuracy")
          : "",
      "</tr>\n");
}

}  // namespace

std::string TrialsSection(const QuantizationReport& report) {
  if (report.trials.empty()) return "";
  double best = 0;
  int64_t kept = 0;
  bool labelled = false;
  for (const TrialReport& trial : report.trials) {
    if (std::isfinite(trial.sqnr_db)) best = std::max(best, trial.sqnr_db);
    kept += trial.kept ? 1 : 0;
    labelled = labelled || trial.accuracy.has_value();
  }
  std::string rows;
  for (const TrialReport& trial : report.trials) {
    rows += Row(trial, best, labelled);
  }
  const std::string head = absl::StrCat(
      Head("Tried"), Head("Outcome"), Head("SQNR", true), Head(""),
      Head("Agreement", true), labelled ? Head("Accuracy", true) : "");
  return Section(
      "trials", "What was tried",
      absl::StrCat(
          "<p>", FormatCount(kept), " of ",
          Plural(static_cast<int64_t>(report.trials.size()), "trial", "trials"),
          " kept",
          report.held_out > 0
              ? absl::StrCat(", judged by the model’s output on ",
                             Plural(report.held_out, "sample", "samples"),
                             " that the calibration did not see")
              : "",
          ".</p>\n", Table("trial-table", "Trials", head, rows)));
}

}  // namespace quantserve::report
