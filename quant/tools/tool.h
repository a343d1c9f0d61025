// What the command-line tools of this room share.
#pragma once

#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/cli/command_line.h"
#include "quant/base/job_control.h"
#include "quant/data/preprocessing.h"
#include "quant/data/read_options.h"

namespace quantserve {

// Exit codes of every tool.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;  // the job failed; stderr says why
inline constexpr int kExitUsage = 2;   // a mistake on the command line

// Sets the flags of `line`. Prints the usage page and exits with kExitOk for
// --help; one line on stderr and kExitUsage for a mistake.
Arguments ParseFlags(const char* tool, const CommandLine& line, int argc,
                     char** argv);

// Prints "NAME: message" on stderr and returns the exit code that fits.
int Fail(const char* tool, const absl::Status& status);

// Prints one line on stderr that points to --help; returns kExitUsage.
int UsageFailure(const char* tool, absl::string_view message);

// --scale, --mean and --std, for a tool's usage page.
FlagGroup PreprocessingFlags();
// What they say. INVALID_ARGUMENT, naming the flag.
absl::StatusOr<Preprocessing> PreprocessingFromFlags();

// --resize, --crop and --interpolation, for a tool's usage page.
FlagGroup ImageFlags();
// --max_samples, --max_sample_bytes and --draw_seed, for a tool's usage page.
FlagGroup DrawFlags();
// What both say for the shard at `path`. INVALID_ARGUMENT, naming the flag: for
// what it says, or if it is `given` and means nothing to such a shard.
absl::StatusOr<ReadShardOptions> ReadShardOptionsFromFlags(
    const std::set<std::string>& given, const std::string& path);

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
