#include "quant/tools/tool.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace quantserve {
namespace {

[[noreturn]] void UsageError(const char* tool, const std::string& message) {
  std::exit(UsageFailure(tool, message));
}

const char* BaseName(const char* path) {
  const char* slash = std::strrchr(path, '/');
  return slash != nullptr ? slash + 1 : path;
}

// Abseil ends the process with its own text at the first bad flag; checking
// each one first gives one line and the exit code that the tools promise.
void CheckFlag(const char* tool, const std::string& name,
               const std::string& value) {
  absl::CommandLineFlag* flag = absl::FindCommandLineFlag(name);
  if (flag == nullptr) {
    UsageError(tool, absl::StrCat("unknown flag --", name));
  }
  std::string error;
  if (!flag->ParseFrom(value, &error)) {
    UsageError(tool, absl::StrCat("flag --", name, "=", value, " is malformed",
                                  error.empty() ? "" : ": ", error));
  }
}

}  // namespace

void ParseFlags(int argc, char** argv, const char* usage) {
  const char* tool = BaseName(argv[0]);
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (argument == "--help" || argument == "-h" || argument == "-help") {
      std::fputs(usage, stdout);
      std::exit(kExitOk);
    }
    if (argument.substr(0, 2) != "--") {
      UsageError(tool, absl::StrCat("unexpected argument \"", argument, "\""));
    }
    argument.remove_prefix(2);
    const std::vector<std::string> parts =
        absl::StrSplit(argument, absl::MaxSplits('=', 1));
    if (parts.size() == 2) {
      CheckFlag(tool, parts[0], parts[1]);
      continue;
    }
    absl::CommandLineFlag* flag = absl::FindCommandLineFlag(parts[0]);
    if (flag != nullptr && flag->IsOfType<bool>()) {
      CheckFlag(tool, parts[0], "true");
    } else if (flag != nullptr && i + 1 == argc) {
      UsageError(tool, absl::StrCat("flag --", parts[0], " wants a value"));
    } else {
      CheckFlag(tool, parts[0], i + 1 < argc ? argv[i + 1] : "");
      ++i;
    }
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

absl::StatusOr<std::vector<double>> ParseNumbers(const std::string& flag,
                                                 const std::string& text) {
  std::vector<double> numbers;
  if (text.empty()) return numbers;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    double number = 0;
    if (!absl::SimpleAtod(part, &number) || !std::isfinite(number)) {
      return absl::InvalidArgumentError(
          absl::StrCat("flag --", flag, "=", text,
                       " is malformed, want numbers between commas"));
    }
    numbers.push_back(number);
  }
  return numbers;
}

absl::StatusOr<Preprocessing> ParsePreprocessing(double scale,
                                                 const std::string& mean,
                                                 const std::string& std) {
  Preprocessing preprocessing;
  preprocessing.scale = scale;
  auto means = ParseNumbers("mean", mean);
  if (!means.ok()) return means.status();
  auto deviations = ParseNumbers("std", std);
  if (!deviations.ok()) return deviations.status();
  preprocessing.mean = *std::move(means);
  preprocessing.std = *std::move(deviations);
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
