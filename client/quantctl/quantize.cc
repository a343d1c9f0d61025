#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/quantctl/command.h"
#include "client/quantctl/replicas.h"
#include "client/quantctl/report.h"
#include "client/quantctl/save.h"

ABSL_DECLARE_FLAG(std::string, shard);
ABSL_FLAG(std::string, range_method, "",
          "How ranges are taken: minmax, moving_average, percentile, mse, "
          "entropy, auto. Default: the server's configured one.");
ABSL_FLAG(bool, dry_run, false, "Does everything but publishing.");
ABSL_FLAG(bool, hold, false,
          "Keeps the result as the candidate, for quantctl promote, instead of "
          "publishing it.");
ABSL_FLAG(
    bool, reuse_artifact, false,
    "Loads the result of an earlier quantization of the same model, shard "
    "and options, if the server keeps one, instead of calibrating.");
ABSL_FLAG(std::optional<double>, max_drop, std::nullopt,
          "Budget: most that top-1 may drop (agreement with FP32, without "
          "labels), 0 to 1. Layers go back to FP32 until it holds. Default, as "
          "of all these: the server's configured one.");
ABSL_FLAG(std::optional<double>, min_sqnr_db, std::nullopt,
          "Budget: least signal to quantization noise of the outputs, in "
          "decibels, kept the same way.");
ABSL_FLAG(std::optional<double>, min_speedup, std::nullopt,
          "Budget: least speed-up against FP32 at batch 1. Above 0.");
ABSL_FLAG(std::string, bias_correction, "",
          "How biases take back the mean error: auto, none, analytic, "
          "empirical.");
ABSL_FLAG(std::string, equalize, "",
          "Cross-layer equalization: auto, on, off.");
ABSL_FLAG(std::vector<std::string>, keep_fp32, {},
          "Layers that stay FP32, as --layers names them, with commas between "
          "them.");
ABSL_FLAG(std::string, report, "",
          "File for the whole report: a page if it ends in .html, else .json. "
          "Finding out what each layer costs takes some seconds.");
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

v1::QuantizeRequest RequestFromFlags() {
  v1::QuantizeRequest request;
  request.set_model(ModelFlag());
  request.set_range_method(absl::GetFlag(FLAGS_range_method));
  request.set_calibration_shard(absl::GetFlag(FLAGS_shard));
  request.set_samples(SamplesFlag());
  request.set_reuse_artifact(absl::GetFlag(FLAGS_reuse_artifact));
  request.set_dry_run(absl::GetFlag(FLAGS_dry_run));
  request.set_hold(absl::GetFlag(FLAGS_hold));
  if (const auto drop = absl::GetFlag(FLAGS_max_drop)) {
    request.set_max_drop(*drop);
  }
  if (const auto sqnr = absl::GetFlag(FLAGS_min_sqnr_db)) {
    request.set_min_sqnr_db(*sqnr);
  }
  if (const auto speedup = absl::GetFlag(FLAGS_min_speedup)) {
    request.set_min_speedup(*speedup);
  }
  request.set_bias_correction(absl::GetFlag(FLAGS_bias_correction));
  request.set_equalize(absl::GetFlag(FLAGS_equalize));
  for (const std::string& layer : absl::GetFlag(FLAGS_keep_fp32)) {
    request.add_keep_fp32(layer);
  }
  request.set_report(!absl::GetFlag(FLAGS_report).empty());
  return request;
}

// What the table and the JSON don't show.
absl::Status TakeReport(v1::QuantizeResult* result) {
  const std::string path = absl::GetFlag(FLAGS_report);
  const absl::Status saved =
      path.empty() ? absl::OkStatus() : SaveReport(*result, path);
  result->clear_report_html();
  result->clear_report_json();
  return saved;
}

absl::Status QuantizeOne(const Turn& turn, bool json) {
  v1::QuantizeRequest request = RequestFromFlags();
  // The first replica's result is in the artifacts that they share.
  if (turn.index > 0) request.set_reuse_artifact(true);
  v1::QuantizeResult refused;
  absl::StatusOr<v1::QuantizeResult> result;
  {
    ProgressBar bar;
    result = turn.client->Quantize(
        request, [&bar](const v1::Progress& p) { bar.Draw(p); }, &refused);
  }
  if (!result.ok() && !refused.has_gate()) return result.status();
  v1::QuantizeResult& shown = result.ok() ? *result : refused;
  const absl::Status saved = TakeReport(&shown);
  const std::string text =
      json         ? ToJson(shown)
      : turn.all() ? absl::StrCat(turn.label, QuantizeLine(shown))
                   : QuantizeText(shown, absl::GetFlag(FLAGS_layers));
  std::fputs(text.c_str(), stdout);
  // Whoever watches a roll-out sees each replica as it is done.
  std::fflush(stdout);
  return result.ok() ? saved : result.status();
}

absl::Status Run(const Arguments& arguments) {
  const auto json = JsonRequested();
  if (!json.ok()) return json.status();
  for (const char* flag : {"report", "layers"}) {
    if (arguments.given.count("all") > 0 && arguments.given.count(flag) > 0) {
      return UsageError(
          absl::StrCat("flag --", flag, " is about one server, not for --all"));
    }
  }
  const std::string path = absl::GetFlag(FLAGS_report);
  if (!path.empty()) {
    absl::Status ending = CheckReportFile(path);
    if (!ending.ok()) return ending;
  }
  return OnEachServer(
      [&json](const Turn& turn) { return QuantizeOne(turn, *json); });
}

}  // namespace

Command QuantizeCommand() {
  return {"quantize",
          {"Quantizes the served model anew, beside its traffic, and serves "
           "the result if it passes its gate.",
           "quantctl quantize [flags]",
           {{"Quantization",
             {"model", "shard", "samples", "range_method", "bias_correction",
              "equalize", "keep_fp32", "dry_run", "hold", "reuse_artifact"}},
            {"Budget", {"max_drop", "min_sqnr_db", "min_speedup"}},
            {"Output", {"layers", "report"}},
            AdminFlags()},
           "With --all the replicas after the first one load what it decided, "
           "if they share\nan --artifact_dir.\n\n"
           "Examples:\n  quantctl quantize --range_method=auto "
           "--max_drop=0.005 --report=quantization.html\n"
           "  quantctl quantize --all=dns:///quantserve-replicas:8001\n",
           0},
          Run};
}

}  // namespace quantserve
