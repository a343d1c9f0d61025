// Reports as files.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "quantserve/v1/quantization.pb.h"

namespace quantserve {

// OK if `path` ends in .html or .json and its folder is there; else a usage
// error: for checking a command line before a minute of work.
absl::Status CheckReportFile(const std::string& path);

// Writes the page or the JSON of `result`, as the path's ending says: through a
// file beside it, which takes its place once it is whole and on the disk.
// FAILED_PRECONDITION if the server sent none; else what the system says, with
// the path.
absl::Status SaveReport(const v1::QuantizeResult& result,
                        const std::string& path);

}  // namespace quantserve
