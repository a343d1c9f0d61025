// What the command-line tools of this room share.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "quant/base/job_control.h"
#include "quant/data/preprocessing.h"

namespace quantserve {

// Exit codes of every tool.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;  // the job failed; stderr says why
inline constexpr int kExitUsage = 2;  // a flag is unknown, missing or malformed

// Parses Abseil flags. Prints `usage` and exits with kExitOk for --help, or one
// line on stderr and kExitUsage for a flag that is unknown or malformed, and
// for positional arguments.
void ParseFlags(int argc, char** argv, const char* usage);

// Prints "NAME: message" on stderr and returns the exit code that fits.
int Fail(const char* tool, const absl::Status& status);

// Prints one line on stderr that points to --help; returns kExitUsage.
int UsageFailure(const char* tool, const std::string& message);

// "0.485,0.456,0.406". INVALID_ARGUMENT, naming the flag, for anything else.
absl::StatusOr<std::vector<double>> ParseNumbers(const std::string& flag,
                                                 const std::string& text);

// From --scale, --mean and --std.
absl::StatusOr<Preprocessing> ParsePreprocessing(double scale,
                                                 const std::string& mean,
                                                 const std::string& std);

// A bar on a terminal, a line for each phase elsewhere; on stderr. Must outlive
// the job that reports to it.
class ProgressBar {
 public:
  ~ProgressBar();
  JobControl Control();
  // Ends the line that a bar stands on, before other output.
  void Finish();

 private:
  void Show(const Progress& progress);
  std::string phase_;
  int shown_percent_ = -1;
  bool open_ = false;  // a bar stands on the current line
};

}  // namespace quantserve
