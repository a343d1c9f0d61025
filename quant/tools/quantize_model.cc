// quantize_model: a TorchScript file and a calibration shard in, an INT8
// TorchScript file out.
#include <cstdio>
#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "quant/base/status_macros.h"
#include "quant/data/file.h"
#include "quant/pipeline/pipeline.h"
#include "quant/pipeline/report_document.h"
#include "quant/report/budget_status.h"
#include "quant/report/report.h"
#include "quant/search/held_out.h"
#include "quant/search/shard_notes.h"
#include "quant/tools/tool.h"

ABSL_FLAG(std::string, model_path, "",
          "Traced, scripted or frozen TorchScript model. Required.");
ABSL_FLAG(std::string, calibration_data, "",
          "Samples: CIFAR-10 .bin, .npy, .npz, .pt or a folder of images. "
          "Required.");
ABSL_FLAG(
    std::string, output, "",
    "INT8 TorchScript model to write; torch.jit.load reads it. Required.");
ABSL_FLAG(std::string, observer, "mse",
          "How ranges are found: mse, minmax, moving_average, percentile, "
          "entropy; auto tries all and keeps the best on held-out samples.");
ABSL_FLAG(double, percentile, quantserve::RangeOptions().percentile,
          "Share of the values that --observer=percentile keeps, in percent.");
ABSL_FLAG(int64_t, samples, quantserve::QuantizeOptions().samples,
          "The shard's first samples, this many, are used.");
ABSL_FLAG(int64_t, batch_size, quantserve::QuantizeOptions().batch,
          "Samples in one calibration run.");
ABSL_FLAG(std::string, bias_correction, "auto",
          "How biases take back the mean error: none, analytic, empirical; "
          "auto keeps the best on held-out samples.");
ABSL_FLAG(std::string, equalize, "auto",
          "Cross-layer equalization: on, off; auto keeps it where it helps on "
          "held-out samples.");
ABSL_FLAG(std::string, keep_fp32, "",
          "Layers that stay FP32, as --verbose names them: a,b.");
ABSL_FLAG(std::optional<double>, max_drop, std::nullopt,
          "Most that top-1 may drop (agreement with FP32, without labels): "
          "layers go back to FP32 until it holds. 0 to 1.");
ABSL_FLAG(std::optional<double>, min_sqnr_db, std::nullopt,
          "Least signal-to-noise ratio of the outputs, kept the same way.");
ABSL_FLAG(std::optional<double>, min_speedup, std::nullopt,
          "Least speed-up against FP32 at batch 1. Above 0.");
ABSL_FLAG(std::string, artifact_dir, "",
          "Directory that keeps what quantizations decided: one with the same "
          "inputs loads it instead of calibrating. Default: none.");
ABSL_FLAG(bool, force, false,
          "Calibrates even where --artifact_dir keeps the result.");
ABSL_FLAG(std::string, report, "",
          "Writes all that was found out: one self-contained page (.html) or "
          "the same as .json. Layers are looked at one by one, which takes "
          "some seconds.");
ABSL_FLAG(int, threads, 1, "Threads that compute.");
ABSL_FLAG(bool, verbose, false, "Lists every layer.");

namespace quantserve {
namespace {

constexpr char kTool[] = "quantize_model";

const CommandLine& Line() {
  static const auto& line = *new CommandLine{
      "Quantizes a TorchScript model to INT8, statically, after training.",
      "quantize_model --model_path=m.pt --calibration_data=shard "
      "--output=m_int8.pt [flags]",
      {{"Files", {"model_path", "calibration_data", "output"}},
       {"Calibration", {"observer", "percentile", "samples", "batch_size"}},
       {"Accuracy", {"bias_correction", "equalize", "keep_fp32"}},
       {"Budget", {"max_drop", "min_sqnr_db", "min_speedup"}},
       {"Reuse", {"artifact_dir", "force"}},
       PreprocessingFlags(),
       ImageFlags(),
       DrawFlags(),
       {"Report", {"report", "verbose"}},
       {"Other", {"threads"}}},
      "Exit codes: 0 written, 1 failed or budget not reachable (the best found "
      "is\nwritten), 2 bad flags.\n"};
  return line;
}

void PrintReport(const QuantizedVariant& result, const std::string& output,
                 int64_t bytes) {
  const QuantizationReport& report = result.report;
  int64_t quantized = 0;
  for (const LayerReport& layer : report.layers) {
    quantized += layer.quantized ? 1 : 0;
    if (!layer.quantized || absl::GetFlag(FLAGS_verbose)) {
      std::printf("  %-40s %-16s %s\n", layer.name.c_str(), layer.op.c_str(),
                  layer.quantized
                      ? "INT8"
                      : absl::StrCat("FP32: ", layer.reason).c_str());
    }
  }
  for (const TrialReport& trial : report.trials) {
    std::printf("tried: %s: %.1f dB, agreement %.4f%s\n", trial.what.c_str(),
                trial.sqnr_db, trial.agreement, trial.kept ? ", kept" : "");
  }
  if (report.budget) {
    std::printf("budget: %s: %s (%s)\n", report.budget->wanted.c_str(),
                report.budget->achieved.c_str(),
                report.budget->reached ? "kept" : "not reachable");
  }
  for (const std::string& note : report.notes) {
    std::printf("note: %s\n", note.c_str());
  }
  for (const auto& [phase, duration] : report.phases) {
    std::printf("%-10s %8.2f s\n", phase.c_str(),
                absl::ToDoubleSeconds(duration));
  }
  if (!absl::GetFlag(FLAGS_artifact_dir).empty()) {
    std::printf("%s\n",
                report.artifact == kArtifactLoaded
                    ? "loaded from --artifact_dir, nothing calibrated"
                    : absl::StrCat("calibrated: ", report.artifact).c_str());
  }
  std::printf("recipe %s\n", report.digest.c_str());
  std::printf(
      "%lld of %zu layers are INT8 (%s, %lld samples), %.1f %% of the "
      "multiply-accumulates\n",
      static_cast<long long>(quantized), report.layers.size(),
      report.range_method.c_str(), static_cast<long long>(report.samples),
      100 * report.int8_macs_share);
  std::printf("%s: %.1f MB\n", output.c_str(),
              static_cast<double>(bytes) / 1e6);
}

// The held-out samples; labels that the model has no output for are left out.
absl::StatusOr<Shard> HeldOut(const Shard& shard, const Split& split,
                              int64_t outputs) {
  const auto rows = static_cast<size_t>(split.held_count);
  std::vector<ShardInput> inputs;
  for (size_t i = 0; i < shard.num_inputs(); ++i) {
    Shape shape = shard.samples(i).shape();
    shape[0] = split.held_count;
    Tensor samples(shard.dtype(i), std::move(shape));
    const size_t bytes = samples.bytes() / rows;
    const std::byte* all = shard.samples(i).data<std::byte>();
    std::memcpy(samples.data<std::byte>(), all + bytes * split.held_first,
                samples.bytes());
    inputs.push_back({shard.input_name(i), std::move(samples)});
  }
  std::vector<int64_t> labels;
  if (shard.has_labels() &&
      !FindForeignLabel(shard, split.held_first, split.held_count, outputs)) {
    const auto held = shard.labels().subspan(split.held_first, rows);
    labels.assign(held.begin(), held.end());
  }
  return Shard::Make(shard.name(), std::move(inputs), std::move(labels));
}

// Both variants on the samples that no range was fitted to, and the page.
absl::Status WriteReportFile(const ModelPipeline& pipeline,
                             const QuantizeOptions& options, const Shard& shard,
                             const QuantizedVariant& int8,
                             const JobControl& control) {
  const std::string path = absl::GetFlag(FLAGS_report);
  if (path.empty()) return absl::OkStatus();
  QS_ASSIGN_OR_RETURN(const CompiledVariant fp32,
                      pipeline.CompileFloat(control));
  const Split split = SplitShard(shard.size(), options.samples);
  QS_ASSIGN_OR_RETURN(
      const Shard held,
      HeldOut(shard, split, pipeline.info().outputs[0].elements()));
  const Preprocessing& preprocessing = pipeline.options().preprocessing;
  QS_ASSIGN_OR_RETURN(const Evaluation baseline,
                      Evaluate(*fp32.engine, held, preprocessing, {}, control));
  QS_ASSIGN_OR_RETURN(
      const Evaluation candidate,
      Evaluate(*int8.variant.engine, held, preprocessing, {}, control));
  QS_ASSIGN_OR_RETURN(const Comparison comparison,
                      Compare(baseline, candidate));
  ReportDocument document =
      DescribeQuantization(pipeline, options, shard, int8.report);
  document.evaluated_on =
      absl::StrCat(split.held_count, " held-out samples of ", shard.name());
  document.variants = {Summarize("fp32", fp32, baseline, std::nullopt),
                       Summarize("int8", int8.variant, candidate, comparison)};
  return WriteReport(document, path);
}

// Flags that would do nothing beside the others.
absl::Status CheckTogether(const std::set<std::string>& given,
                           RangeMethod method) {
  if (given.count("percentile") > 0 && method != RangeMethod::kPercentile) {
    return absl::InvalidArgumentError(
        absl::StrCat("--percentile=", absl::GetFlag(FLAGS_percentile),
                     " is for --observer=percentile, not --observer=",
                     absl::GetFlag(FLAGS_observer)));
  }
  if (absl::GetFlag(FLAGS_force) && absl::GetFlag(FLAGS_artifact_dir).empty()) {
    return absl::InvalidArgumentError(
        "--force is for --artifact_dir, which is not given");
  }
  return absl::OkStatus();
}

absl::StatusOr<QuantizeOptions> QuantizeOptionsFromFlags(
    const std::set<std::string>& given) {
  const std::string report = absl::GetFlag(FLAGS_report);
  if (!report.empty()) QS_RETURN_IF_ERROR(CheckReportPath(report));
  QuantizeOptions quantize;
  QS_ASSIGN_OR_RETURN(quantize.ranges.method,
                      ParseRangeMethod(absl::GetFlag(FLAGS_observer)));
  quantize.ranges.percentile = absl::GetFlag(FLAGS_percentile);
  QS_ASSIGN_OR_RETURN(
      quantize.bias_correction,
      ParseBiasCorrection(absl::GetFlag(FLAGS_bias_correction)));
  QS_ASSIGN_OR_RETURN(quantize.equalize,
                      ParseEqualizeMode(absl::GetFlag(FLAGS_equalize)));
  quantize.keep_fp32 = absl::StrSplit(absl::GetFlag(FLAGS_keep_fp32), ',',
                                      absl::SkipWhitespace());
  quantize.max_drop = absl::GetFlag(FLAGS_max_drop);
  quantize.min_sqnr_db = absl::GetFlag(FLAGS_min_sqnr_db);
  quantize.min_speedup = absl::GetFlag(FLAGS_min_speedup);
  quantize.samples = absl::GetFlag(FLAGS_samples);
  quantize.batch = absl::GetFlag(FLAGS_batch_size);
  quantize.force = absl::GetFlag(FLAGS_force);
  quantize.detailed_report = !report.empty();
  QS_RETURN_IF_ERROR(quantize.Validate());
  QS_RETURN_IF_ERROR(CheckTogether(given, quantize.ranges.method));
  return quantize;
}

absl::Status Run(const QuantizeOptions& quantize, ReadShardOptions read,
                 const Preprocessing& preprocessing) {
  const std::string output = absl::GetFlag(FLAGS_output);
  const std::string report = absl::GetFlag(FLAGS_report);
  ProgressBar bar;
  read.control = bar.Control();
  QS_ASSIGN_OR_RETURN(const Shard shard,
                      ReadShard(absl::GetFlag(FLAGS_calibration_data), read));
  ModelOptions model;
  model.path = absl::GetFlag(FLAGS_model_path);
  model.inputs = shard.input_specs();
  model.engine.ladder = {1};
  model.artifact_dir = absl::GetFlag(FLAGS_artifact_dir);
  model.engine.threads = absl::GetFlag(FLAGS_threads);
  model.preprocessing = preprocessing;
  QS_RETURN_IF_ERROR(model.Validate());
  ConfigureThread(model.engine.threads);
  QS_RETURN_IF_ERROR(Int8SelfTest());
  QS_ASSIGN_OR_RETURN(const auto pipeline, OpenModel(model));
  QS_ASSIGN_OR_RETURN(QuantizedVariant result,
                      pipeline->Quantize(quantize, shard, bar.Control()));
  QS_RETURN_IF_ERROR(bar.Control().Report("save", 0, 1));
  QS_RETURN_IF_ERROR(result.save(output));
  QS_RETURN_IF_ERROR(bar.Control().Report("save", 1, 1));
  QS_RETURN_IF_ERROR(
      WriteReportFile(*pipeline, quantize, shard, result, bar.Control()));
  bar.Finish();
  QS_ASSIGN_OR_RETURN(const int64_t bytes, FileBytes(output));
  PrintReport(result, output, bytes);
  if (!report.empty()) std::printf("report: %s\n", report.c_str());
  return BudgetStatus(result.report);
}

}  // namespace
}  // namespace quantserve

int main(int argc, char** argv) {
  using namespace quantserve;
  const Arguments arguments = ParseFlags(kTool, Line(), argc, argv);
  for (const auto* flag :
       {&FLAGS_model_path, &FLAGS_calibration_data, &FLAGS_output}) {
    if (absl::GetFlag(*flag).empty()) {
      return UsageFailure(kTool,
                          "--model_path, --calibration_data and --output are "
                          "required");
    }
  }
  const auto quantize = QuantizeOptionsFromFlags(arguments.given);
  if (!quantize.ok()) return UsageFailure(kTool, quantize.status().message());
  const auto read = ReadShardOptionsFromFlags(
      arguments.given, absl::GetFlag(FLAGS_calibration_data));
  if (!read.ok()) return UsageFailure(kTool, read.status().message());
  const auto preprocessing = PreprocessingFromFlags();
  if (!preprocessing.ok()) {
    return UsageFailure(kTool, preprocessing.status().message());
  }
  const absl::Status status = Run(*quantize, *read, *preprocessing);
  return status.ok() ? kExitOk : Fail(kTool, status);
}
