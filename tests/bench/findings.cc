#include "tests/bench/findings.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/quantctl/table.h"

namespace quantserve::bench {
namespace {

std::string Number(double number, const std::string& unit) {
  const int decimals = number >= 100 ? 0 : 3;
  return absl::StrFormat("%.*f %s", decimals, number, unit);
}

}  // namespace

bool Finding::met() const {
  return relation == ">=" ? measured >= target : measured <= target;
}

std::string FindingsTable(const std::vector<Finding>& findings) {
  Table table({"", "measured", "target", ""});
  for (const Finding& finding : findings) {
    std::vector<std::string> row = {finding.what,
                                    Number(finding.measured, finding.unit)};
    if (finding.has_target()) {
      row.push_back(absl::StrCat(finding.relation, " ",
                                 Number(finding.target, finding.unit)));
      row.push_back(finding.met() ? "met" : "MISSED");
    }
    table.Add(row);
  }
  return table.Render();
}

nlohmann::json FindingsJson(const std::vector<Finding>& findings) {
  auto rows = nlohmann::json::array();
  for (const Finding& finding : findings) {
    nlohmann::json row = {{"what", finding.what},
                          {"measured", finding.measured},
                          {"unit", finding.unit}};
    if (finding.has_target()) {
      row["target"] = absl::StrCat(finding.relation, " ", finding.target);
      row["met"] = finding.met();
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace quantserve::bench
