#include <unistd.h>

#include <cstdio>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/quantctl/command.h"
#include "client/quantctl/report.h"

ABSL_DECLARE_FLAG(std::string, shard);
ABSL_FLAG(std::string, range_method, "",
          "How ranges are taken: minmax, moving_average, percentile, mse, "
          "entropy, auto. Default: the server's configured one.");
ABSL_FLAG(bool, dry_run, false, "Does everything but publishing.");
ABSL_FLAG(
    bool, reuse_artifact, false,
    "Loads the result of an earlier quantization of the same model, shard "
    "and options, if the server keeps one, instead of calibrating.");
ABSL_FLAG(bool, layers, false, "Prints a row for each layer, too.");

namespace quantserve {
namespace {

// One line on stderr that is drawn over and over; nothing unless that is a
// terminal.
class ProgressBar {
 public:
  ProgressBar() : terminal_(isatty(STDERR_FILENO) == 1) {}
  ~ProgressBar() {
    if (drawn_) std::fputs("\r\033[K", stderr);
  }
  void Draw(const v1::Progress& progress) {
    if (!terminal_) return;
    constexpr int64_t kCells = 40;
    const int64_t total = std::max<int64_t>(progress.total(), 1);
    const int64_t done = std::clamp<int64_t>(progress.done(), 0, total);
    const auto full = static_cast<size_t>(done * kCells / total);
    absl::FPrintF(stderr, "\r%-10s [%s%s] %d/%d\033[K", progress.phase(),
                  std::string(full, '='), std::string(kCells - full, ' '),
                  progress.done(), progress.total());
    drawn_ = true;
  }

 private:
  const bool terminal_;
  bool drawn_ = false;
};

absl::Status Run(const Arguments&) {
  const auto json = JsonRequested();
  if (!json.ok()) return json.status();
  const auto client = Connect();
  if (!client.ok()) return client.status();
  v1::QuantizeRequest request;
  request.set_range_method(absl::GetFlag(FLAGS_range_method));
  request.set_calibration_shard(absl::GetFlag(FLAGS_shard));
  request.set_samples(SamplesFlag());
  request.set_reuse_artifact(absl::GetFlag(FLAGS_reuse_artifact));
  request.set_dry_run(absl::GetFlag(FLAGS_dry_run));
  v1::QuantizeResult refused;
  absl::StatusOr<v1::QuantizeResult> result;
  {
    ProgressBar bar;
    result = (*client)->Quantize(
        request, [&bar](const v1::Progress& p) { bar.Draw(p); }, &refused);
  }
  if (!result.ok() && !refused.has_gate()) return result.status();
  const v1::QuantizeResult& shown = result.ok() ? *result : refused;
  if (*json) {
    std::fputs(ToJson(shown).c_str(), stdout);
  } else {
    std::fputs(QuantizeText(shown, absl::GetFlag(FLAGS_layers)).c_str(),
               stdout);
  }
  return result.status();
}

}  // namespace

Command QuantizeCommand() {
  return {"quantize",
          {"Quantizes the served model anew, beside its traffic, and serves "
           "the result if it passes its gate.",
           "quantctl quantize [flags]",
           {{"Quantization",
             {"shard", "samples", "range_method", "dry_run", "reuse_artifact",
              "layers"}},
            CommonFlags()},
           "Example:\n  quantctl quantize --range_method=percentile "
           "--dry_run\n",
           0},
          Run};
}

}  // namespace quantserve
