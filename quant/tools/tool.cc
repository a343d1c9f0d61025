#include "quant/tools/tool.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/flags/flag.h"
#include "client/cli/numbers.h"
#include "quant/base/status_macros.h"

ABSL_FLAG(double, scale, quantserve::Preprocessing().scale,
          "8-bit samples become (raw * scale - mean) / std. Default: 1/255.");
ABSL_FLAG(std::string, mean, "",
          "One number, or one for each channel, e.g. 0.485,0.456,0.406. "
          "Default: 0.");
ABSL_FLAG(std::string, std, "",
          "One number, or one for each channel. Default: 1.");

namespace quantserve {

void ParseFlags(const char* tool, const CommandLine& line, int argc,
                char** argv) {
  const auto arguments = Parse(line, {argv + 1, argv + argc});
  if (!arguments.ok()) {
    std::fprintf(stderr, "%s: %s\n", tool,
                 std::string(arguments.status().message()).c_str());
    std::exit(kExitUsage);
  }
  if (arguments->help) {
    std::fputs(UsagePage(line).c_str(), stdout);
    std::exit(kExitOk);
  }
}

int UsageFailure(const char* tool, const std::string& message) {
  std::fprintf(stderr, "%s: %s (--help lists the flags)\n", tool,
               message.c_str());
  return kExitUsage;
}

int Fail(const char* tool, const absl::Status& status) {
  std::fprintf(stderr, "%s: %s\n", tool, std::string(status.message()).c_str());
  return kExitFailed;
}

FlagGroup PreprocessingFlags() {
  return {"Preprocessing", {"scale", "mean", "std"}};
}

absl::StatusOr<Preprocessing> PreprocessingFromFlags() {
  Preprocessing preprocessing;
  preprocessing.scale = absl::GetFlag(FLAGS_scale);
  QS_ASSIGN_OR_RETURN(preprocessing.mean,
                      ParseNumbers("mean", absl::GetFlag(FLAGS_mean)));
  QS_ASSIGN_OR_RETURN(preprocessing.std,
                      ParseNumbers("std", absl::GetFlag(FLAGS_std)));
  return preprocessing;
}

ProgressBar::~ProgressBar() { Finish(); }

void ProgressBar::Finish() {
  if (open_) std::fputc('\n', stderr);
  open_ = false;
}

JobControl ProgressBar::Control() {
  return {[this](const Progress& progress) { Show(progress); }, nullptr};
}

void ProgressBar::Show(const Progress& progress) {
  constexpr int kWidth = 40;
  const bool terminal = isatty(STDERR_FILENO) != 0;
  const bool fresh = progress.phase != phase_;
  const int percent =
      progress.total > 0
          ? static_cast<int>(100 * progress.done / progress.total)
          : 100;
  if (!fresh && percent == shown_percent_) return;
  if (fresh && open_) std::fputc('\n', stderr);
  phase_ = progress.phase;
  shown_percent_ = percent;
  if (!terminal) {
    open_ = false;
    if (fresh) std::fprintf(stderr, "%s ...\n", phase_.c_str());
    return;
  }
  const std::string done(static_cast<size_t>(kWidth * percent / 100), '#');
  std::fprintf(stderr, "\r%-22s [%-*s] %lld/%lld", phase_.c_str(), kWidth,
               done.c_str(), static_cast<long long>(progress.done),
               static_cast<long long>(progress.total));
  std::fflush(stderr);
  open_ = true;
}

}  // namespace quantserve
