// A quantization's report as a page for people and as JSON for programs.
//
//   QS_RETURN_IF_ERROR(WriteReport(document, "out/resnet18.html"));
//
// All functions are thread-safe. Any document is shown, an empty one, too; its
// text may be hostile (names come out of models): what is not printable or not
// UTF-8 is replaced, and shown text is cut after 300 characters.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "quant/report/quantization_report.h"

namespace quantserve {

// The version of what ReportJson writes: its "format". Grows when a key changes
// its meaning or goes; new keys don't count.
inline constexpr int kReportFormat = 1;

// One page of HTML that needs nothing else: no network, no fonts, no file
// beside it. Without JavaScript only sorting and filtering are missing.
std::string ReportHtml(const ReportDocument& document);

// One line of JSON: every field of the document under its own name, with the
// unit at the end of the key ("latency_p50_us"). null where something was not
// measured, is NaN or infinite. `created` is RFC 3339 in UTC.
std::string ReportJson(const ReportDocument& document);

// ReportHtml to a path that ends in ".html", ReportJson to one in ".json". The
// file appears at once and complete, in place of an older one, or not at all:
// it is written beside `path`, synchronised with the disk and renamed.
// INVALID_ARGUMENT for another ending, whatever errno means (NOT_FOUND,
// PERMISSION_DENIED, RESOURCE_EXHAUSTED for a full disk, …) with the path
// where it can't be written.
absl::Status WriteReport(const ReportDocument& document,
                         absl::string_view path);

// OK if WriteReport knows the ending of `path`, else its error: for checking a
// command line before an hour of work.
absl::Status CheckReportPath(absl::string_view path);

}  // namespace quantserve
