#include "quant/tools/tool.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "client/cli/numbers.h"
#include "quant/base/status_macros.h"

ABSL_FLAG(double, scale, quantserve::Preprocessing().scale,
          "8-bit samples become (raw * scale - mean) / std. Default: 1/255.");
ABSL_FLAG(std::string, mean, "",
          "One number, or one for each channel, e.g. 0.485,0.456,0.406. "
          "Default: 0.");
ABSL_FLAG(std::string, std, "",
          "One number, or one for each channel. Default: 1.");

ABSL_FLAG(int, resize, quantserve::ImageOptions().resize,
          "Images of a folder: pixels of the shorter side, as torchvision's "
          "Resize has it. 0: not resized.");
ABSL_FLAG(int, crop, quantserve::ImageOptions().crop,
          "Images of a folder: side of the square cut from the middle, as "
          "torchvision's CenterCrop has it. 0: not cropped.");
ABSL_FLAG(std::string, interpolation, "bilinear",
          "How images are resized, with PIL's antialiasing: bilinear or "
          "bicubic.");
ABSL_FLAG(int64_t, max_samples, quantserve::ReadShardOptions().max_samples,
          "If the shard holds more samples, this many are drawn at random. "
          "0: all.");
ABSL_FLAG(int64_t, max_sample_bytes,
          quantserve::ReadShardOptions().max_sample_bytes,
          "If the shard's samples take more memory, as many as fit are drawn.");
ABSL_FLAG(uint64_t, draw_seed, quantserve::ReadShardOptions().seed,
          "Which samples are drawn: the same seed, the same samples.");

namespace quantserve {

Arguments ParseFlags(const char* tool, const CommandLine& line, int argc,
                     char** argv) {
  auto arguments = Parse(line, {argv + 1, argv + argc});
  if (!arguments.ok()) {
    std::fprintf(stderr, "%s: %s\n", tool,
                 std::string(arguments.status().message()).c_str());
    std::exit(kExitUsage);
  }
  if (arguments->help) {
    std::fputs(UsagePage(line).c_str(), stdout);
    std::exit(kExitOk);
  }
  return *std::move(arguments);
}

int UsageFailure(const char* tool, absl::string_view message) {
  std::fprintf(stderr, "%s: %s (--help lists the flags)\n", tool,
               std::string(message).c_str());
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

FlagGroup ImageFlags() {
  return {"Images", {"resize", "crop", "interpolation"}};
}

FlagGroup DrawFlags() {
  return {"Shards larger than memory",
          {"max_samples", "max_sample_bytes", "draw_seed"}};
}

absl::StatusOr<ReadShardOptions> ReadShardOptionsFromFlags(
    const std::set<std::string>& given, const std::string& path) {
  ReadShardOptions options;
  options.images.resize = absl::GetFlag(FLAGS_resize);
  options.images.crop = absl::GetFlag(FLAGS_crop);
  const std::string name = absl::GetFlag(FLAGS_interpolation);
  const auto interpolation = ParseInterpolation(name);
  if (!interpolation.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--interpolation=", name, ": ", interpolation.status().message()));
  }
  options.images.interpolation = *interpolation;
  options.max_samples = absl::GetFlag(FLAGS_max_samples);
  options.max_sample_bytes = absl::GetFlag(FLAGS_max_sample_bytes);
  options.seed = absl::GetFlag(FLAGS_draw_seed);
  QS_RETURN_IF_ERROR(options.Validate());
  for (const std::string& flag : ImageFlags().flags) {
    if (given.count(flag) == 0 || !std::filesystem::is_regular_file(path)) {
      continue;
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "--", flag, " is for a folder of images, \"", path, "\" is a file"));
  }
  return options;
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
