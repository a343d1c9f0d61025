// evaluate_model: accuracy and latency of a model's FP32 and INT8 forms, each
// way of running them a row, all measured in one process.
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "quant/base/sha256.h"
#include "quant/base/status_macros.h"
#include "quant/eval/evaluate.h"
#include "quant/onednn/onednn_engine.h"
#include "quant/pipeline/artifact.h"
#include "quant/pipeline/pipeline.h"
#include "quant/pipeline/reuse.h"
#include "quant/tools/tool.h"
#include "quant/torch/torch.h"

ABSL_FLAG(std::string, model_path, "", "TorchScript model in FP32. Required.");
ABSL_FLAG(std::string, int8_path, "",
          "The same model as quantize_model wrote it.");
ABSL_FLAG(std::string, test_data, "",
          "Samples: CIFAR-10 .bin, .npy, .npz, .pt or a folder of images. "
          "Required.");
ABSL_FLAG(std::string, format, "table", "What is printed: table or json.");
ABSL_FLAG(int64_t, samples, 0,
          "The shard's first samples, this many, are used; 0: all.");
ABSL_FLAG(int, threads, 1, "Threads of each run.");

namespace quantserve {
namespace {

constexpr char kTool[] = "evaluate_model";

const CommandLine& Line() {
  static const auto& line = *new CommandLine{
      "Measures accuracy and latency of a model and of its INT8 form.",
      "evaluate_model --model_path=m.pt [--int8_path=m_int8.pt] "
      "--test_data=shard [flags]",
      {{"Files", {"model_path", "int8_path", "test_data"}},
       {"Measurement", {"samples", "threads", "format"}},
       PreprocessingFlags(),
       ImageFlags(),
       DrawFlags()},
      R"(Latency is the median time of one sample at batch 1; speed-up is against the
first row. Rows:
  FP32 CPU            LibTorch, operator by operator, as eager PyTorch runs it
  FP32 CPU optimised  LibTorch's optimize_for_inference
  FP32 CUDA           LibTorch on the first GPU, transfers included
  INT8 CPU            LibTorch's quantized operators, one by one
  INT8 JIT CPU        the INT8 file as torch.jit.load's users run it
  FP32 CPU oneDNN     the plan compiled onto oneDNN, as the server runs it
  BF16 CPU oneDNN     the same with products in BF16, where the CPU has it
  INT8 CPU oneDNN     the INT8 plan compiled onto oneDNN

Exit codes: 0 measured, 1 failed, 2 bad flags.
)"};
  return line;
}

struct Row {
  std::string name;
  std::optional<Evaluation> evaluation;
  std::string note;  // why there is no evaluation
};

class Evaluator {
 public:
  Evaluator(Shard shard, ModelOptions options)
      : shard_(std::move(shard)), options_(std::move(options)) {}

  // Adds a row; an engine that this machine lacks gives one with a note.
  absl::Status Add(const std::string& name,
                   absl::StatusOr<std::unique_ptr<Engine>> engine) {
    Row row{name, std::nullopt, ""};
    if (absl::IsFailedPrecondition(engine.status())) {
      row.note = std::string(engine.status().message());
      rows_.push_back(std::move(row));
      return absl::OkStatus();
    }
    QS_RETURN_IF_ERROR(engine.status());
    EvaluateOptions evaluate;
    evaluate.samples = absl::GetFlag(FLAGS_samples);
    JobControl control = bar_.Control();
    control.on_progress = [&, show = control.on_progress](Progress p) {
      p.phase = name;
      show(p);
    };
    QS_ASSIGN_OR_RETURN(
        row.evaluation,
        Evaluate(**engine, shard_, options_.preprocessing, evaluate, control));
    rows_.push_back(std::move(row));
    return absl::OkStatus();
  }

  const std::vector<Row>& rows() const { return rows_; }
  const Row* Find(const std::string& name) const {
    for (const Row& row : rows_) {
      if (row.name == name) return &row;
    }
    return nullptr;
  }
  const ModelOptions& options() const { return options_; }
  void Finish() { bar_.Finish(); }

 private:
  const Shard shard_;
  const ModelOptions options_;
  ProgressBar bar_;
  std::vector<Row> rows_;
};

double Milliseconds(const Row& row) {
  return absl::ToDoubleMilliseconds(row.evaluation->latency_p50);
}

void PrintTable(const std::vector<Row>& rows,
                const std::optional<Comparison>& comparison, int threads) {
  std::printf("%-20s %9s %22s %9s\n", "variant", "accuracy",
              "latency (ms / sample)", "speed-up");
  for (const Row& row : rows) {
    if (!row.evaluation) {
      std::printf("%-20s %s\n", row.name.c_str(), row.note.c_str());
      continue;
    }
    const auto& accuracy = row.evaluation->accuracy;
    std::printf("%-20s %9s %22.3f %8.2fx\n", row.name.c_str(),
                accuracy ? absl::StrFormat("%.4f", *accuracy).c_str() : "-",
                Milliseconds(row), Milliseconds(rows[0]) / Milliseconds(row));
  }
  if (comparison) {
    std::printf("INT8 against FP32: agreement %.4f, SQNR %.1f dB\n",
                comparison->agreement, comparison->sqnr_db);
  }
  std::printf("%lld samples, batch 1, %d thread%s\n",
              static_cast<long long>(rows[0].evaluation->samples), threads,
              threads == 1 ? "" : "s");
}

void PrintJson(const std::vector<Row>& rows,
               const std::optional<Comparison>& comparison, int threads) {
  using nlohmann::json;
  json out{{"rows", json::array()},
           {"samples", rows[0].evaluation->samples},
           {"threads", threads},
           {"agreement", nullptr},
           {"sqnr_db", nullptr}};
  for (const Row& row : rows) {
    json entry{{"name", row.name},
               {"accuracy", nullptr},
               {"latency_ms", nullptr},
               {"speedup", nullptr}};
    if (row.evaluation) {
      if (row.evaluation->accuracy) {
        entry["accuracy"] = *row.evaluation->accuracy;
      }
      // Of what this row's engine returns, against the first row's.
      const auto against = Compare(*rows[0].evaluation, *row.evaluation);
      if (against.ok() && std::isfinite(against->sqnr_db)) {
        entry["sqnr_db"] = against->sqnr_db;
      }
      entry["latency_ms"] = Milliseconds(row);
      entry["speedup"] = Milliseconds(rows[0]) / Milliseconds(row);
    } else {
      entry["note"] = row.note;
    }
    out["rows"].push_back(entry);
  }
  if (comparison) {
    out["agreement"] = comparison->agreement;
    // JSON has no infinity: null stands for outputs that are equal.
    if (std::isfinite(comparison->sqnr_db)) {
      out["sqnr_db"] = comparison->sqnr_db;
    }
  }
  std::printf("%s\n", out.dump(2).c_str());
}

absl::StatusOr<std::unique_ptr<Engine>> OneDnn(const Plan& plan,
                                               const EngineOptions& options,
                                               bool bf16) {
  OneDnnOptions onednn;
  onednn.bf16 = bf16;
  return CompileOneDnn(plan, options, onednn);
}

absl::Status Run(ReadShardOptions read, const Preprocessing& preprocessing) {
  const int threads = absl::GetFlag(FLAGS_threads);
  ProgressBar bar;
  read.control = bar.Control();
  QS_ASSIGN_OR_RETURN(Shard shard,
                      ReadShard(absl::GetFlag(FLAGS_test_data), read));
  bar.Finish();
  ModelOptions options;
  options.path = absl::GetFlag(FLAGS_model_path);
  options.inputs = shard.input_specs();
  options.engine.ladder = {1};
  options.engine.threads = threads;
  options.preprocessing = preprocessing;
  QS_RETURN_IF_ERROR(options.Validate());
  ConfigureThread(threads);

  QS_ASSIGN_OR_RETURN(const auto model,
                      TorchModel::Load(options.path, options.max_bytes));
  QS_ASSIGN_OR_RETURN(const Plan plan, model->Import(options.inputs));
  Evaluator evaluator(std::move(shard), options);
  const auto compile = [&](const TorchModel& from, ScriptExecution execution,
                           const char* precision) {
    return from.Compile(execution, plan, precision, options.engine);
  };
  QS_RETURN_IF_ERROR(evaluator.Add(
      "FP32 CPU", compile(*model, ScriptExecution::kOperators, "fp32")));
  QS_RETURN_IF_ERROR(
      evaluator.Add("FP32 CPU optimised",
                    compile(*model, ScriptExecution::kOptimized, "fp32")));
  QS_RETURN_IF_ERROR(evaluator.Add(
      "FP32 CUDA", compile(*model, ScriptExecution::kCuda, "fp32")));

  const std::string int8_path = absl::GetFlag(FLAGS_int8_path);
  std::optional<Comparison> comparison;
  std::unique_ptr<TorchModel> int8;
  if (!int8_path.empty()) {
    QS_ASSIGN_OR_RETURN(int8, TorchModel::Load(int8_path, options.max_bytes));
    QS_RETURN_IF_ERROR(evaluator.Add(
        "INT8 CPU", compile(*int8, ScriptExecution::kOperators, "int8")));
    QS_RETURN_IF_ERROR(evaluator.Add(
        "INT8 JIT CPU", compile(*int8, ScriptExecution::kJit, "int8")));
    QS_ASSIGN_OR_RETURN(comparison,
                        Compare(*evaluator.Find("FP32 CPU")->evaluation,
                                *evaluator.Find("INT8 JIT CPU")->evaluation));
  }
  QS_RETURN_IF_ERROR(
      evaluator.Add("FP32 CPU oneDNN", OneDnn(plan, options.engine, false)));
  QS_RETURN_IF_ERROR(
      evaluator.Add("BF16 CPU oneDNN", OneDnn(plan, options.engine, true)));
  if (int8 != nullptr) {
    QS_ASSIGN_OR_RETURN(const std::string sha256, Sha256File(options.path));
    absl::StatusOr<Plan> quantized =
        RebuildQuantizedPlan(plan, sha256, int8->ExtraFile(kArtifactFile));
    QS_RETURN_IF_ERROR(evaluator.Add(
        "INT8 CPU oneDNN",
        quantized.ok() ? OneDnn(*quantized, options.engine, false)
                       // An INT8 file of another tool: its other rows stand.
                       : absl::StatusOr<std::unique_ptr<Engine>>(
                             absl::FailedPreconditionError(
                                 quantized.status().message()))));
  }
  evaluator.Finish();
  if (absl::GetFlag(FLAGS_format) == "json") {
    PrintJson(evaluator.rows(), comparison, threads);
  } else {
    PrintTable(evaluator.rows(), comparison, threads);
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace quantserve

int main(int argc, char** argv) {
  using namespace quantserve;
  const Arguments arguments = ParseFlags(kTool, Line(), argc, argv);
  if (absl::GetFlag(FLAGS_model_path).empty() ||
      absl::GetFlag(FLAGS_test_data).empty()) {
    return UsageFailure(kTool, "--model_path and --test_data are required");
  }
  const std::string format = absl::GetFlag(FLAGS_format);
  if (format != "table" && format != "json") {
    return UsageFailure(
        kTool, absl::StrCat("--format=", format, ", want table or json"));
  }
  const auto read = ReadShardOptionsFromFlags(arguments.given,
                                              absl::GetFlag(FLAGS_test_data));
  if (!read.ok()) return UsageFailure(kTool, read.status().message());
  const auto preprocessing = PreprocessingFromFlags();
  if (!preprocessing.ok()) {
    return UsageFailure(kTool, preprocessing.status().message());
  }
  const absl::Status status = Run(*read, *preprocessing);
  return status.ok() ? kExitOk : Fail(kTool, status);
}
