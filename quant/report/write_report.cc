#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "quant/base/atomic_file.h"
#include "quant/base/status_macros.h"
#include "quant/report/report.h"

namespace quantserve {

absl::Status CheckReportPath(absl::string_view path) {
  if (absl::EndsWith(path, ".html") || absl::EndsWith(path, ".json")) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "the report \"", path, "\" ends in neither \".html\" nor \".json\""));
}

absl::Status WriteReport(const ReportDocument& document,
                         absl::string_view path) {
  QS_RETURN_IF_ERROR(CheckReportPath(path));
  return WriteFileAtomically(std::string(path), absl::EndsWith(path, ".html")
                                                    ? ReportHtml(document)
                                                    : ReportJson(document));
}

}  // namespace quantserve
