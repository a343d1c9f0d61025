// The front door of quant/: a loaded model that can be compiled and quantized.
//
//   ASSIGN(auto pipeline, OpenModel(options));
//   ASSIGN(auto fp32, pipeline->CompileFloat(control));
//   ASSIGN(auto int8, pipeline->Quantize(quantize, shard, control));
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "quant/base/job_control.h"
#include "quant/data/shard.h"
#include "quant/engine/engine.h"
#include "quant/ranges/range_estimator.h"
#include "quant/report/quantization_report.h"
#include "quant/search/options.h"

namespace quantserve {

// Which engine compiles a variant: kAuto times those that can run the plan and
// takes the fastest correct one.
enum class EngineChoice { kAuto, kTorchScript, kOneDnn };

// "auto", "torchscript", "onednn"; INVALID_ARGUMENT for other names.
const char* EngineChoiceName(EngineChoice choice);
absl::StatusOr<EngineChoice> ParseEngineChoice(absl::string_view name);

struct ModelOptions {
  std::string path;               // a TorchScript file
  std::vector<InputSpec> inputs;  // of one sample: {{{3, 32, 32}}}
  Preprocessing preprocessing;
  EngineOptions engine;  // batch ladder and threads
  EngineChoice engine_choice = EngineChoice::kAuto;
  // Where measurements that a restart can use again are kept: which oneDNN
  // kernel is fastest for each layer here. Empty: nowhere. A directory that
  // cannot be written costs the measurements, nothing else.
  std::string cache_dir;
  // Where the decisions of quantizations are kept, so that the same one is made
  // once: see quant/pipeline/artifact_store.h. Empty: nowhere. A directory that
  // cannot be written costs a note in the report.
  std::string artifact_dir;
  // A larger file is refused before it is read.
  int64_t max_bytes = int64_t{4} << 30;

  absl::Status Validate() const;
};

struct ModelInfo {
  std::string path;
  std::string sha256;  // of the file, lower-case hex
  int64_t file_bytes = 0;
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  int64_t macs = 0;  // of one sample
};

struct EngineTiming {
  std::string engine;
  absl::Duration latency;  // of one sample at batch 1, median; zero if unusable
  std::string rejected;    // why it was not chosen; empty for the chosen one
};

// One servable form of a model.
struct CompiledVariant {
  std::string precision;  // "fp32", "bf16", "int8"
  std::shared_ptr<const Engine> engine;
  int64_t size_bytes = 0;  // of the model in this precision, as stored
  std::vector<EngineTiming> timings;
};

struct QuantizeOptions {
  RangeOptions ranges;
  int64_t samples = 512;  // the shard's first ones; fewer if it has fewer
  int64_t batch = 32;     // samples in one calibration run
  BiasCorrection bias_correction = BiasCorrection::kAuto;
  EqualizeMode equalize = EqualizeMode::kAuto;
  // Layers, as reports name them, that stay FP32.
  std::vector<std::string> keep_fp32;

  // The budget: layers go back to FP32 until INT8 keeps to it on held-out
  // samples. One that cannot be kept gives the best that was found, and
  // QuantizationReport::budget says so: see BudgetStatus.
  // Of top-1 with labels, else of agreement with FP32; 0 to 1. Not for models
  // with a single output.
  std::optional<double> max_drop;
  std::optional<double> min_sqnr_db;  // of the outputs against FP32
  // FP32's latency over INT8's, at batch 1, of the engines that are chosen;
  // above 0. Compiles FP32 for the comparison.
  std::optional<double> min_speedup;

  // Also finds out what each layer costs in accuracy and time. Takes some
  // seconds.
  bool detailed_report = false;

  // Calibrates even where ModelOptions::artifact_dir keeps the result.
  bool force = false;

  // INVALID_ARGUMENT, naming the option.
  absl::Status Validate() const;
};

struct QuantizedVariant {
  CompiledVariant variant;
  QuantizationReport report;
  // Writes a TorchScript file that torch.jit.load reads, through a temporary
  // file in the same directory. May be called once or not at all, from any
  // thread that may touch LibTorch.
  std::function<absl::Status(const std::string& path)> save;
};

// A loaded FP32 model. Thread-safe; at most one Quantize at a time is sensible.
class ModelPipeline {
 public:
  virtual ~ModelPipeline() = default;
  virtual const ModelInfo& info() const = 0;
  virtual const ModelOptions& options() const = 0;

  virtual absl::StatusOr<CompiledVariant> CompileFloat(
      const JobControl& control) const = 0;

  // FP32 with products in BF16. FAILED_PRECONDITION where the processor has no
  // BF16 or the engine choice excludes oneDNN.
  virtual absl::StatusOr<CompiledVariant> CompileBf16(
      const JobControl& control) const = 0;

  // Loads what ModelOptions::artifact_dir keeps for these inputs, or calibrates
  // and keeps that; the report's `artifact` says which, and why.
  // INVALID_ARGUMENT if the shard's samples are not the model's; CANCELLED.
  virtual absl::StatusOr<QuantizedVariant> Quantize(
      const QuantizeOptions& options, const Shard& shard,
      const JobControl& control) const = 0;
};

// Loads a traced, scripted or frozen TorchScript file. NOT_FOUND if there is
// none, INVALID_ARGUMENT with the path and what was expected if it is empty,
// truncated, foreign, or does not run on a batch of
// `inputs`.
absl::StatusOr<std::unique_ptr<ModelPipeline>> OpenModel(
    const ModelOptions& options);

// Limits the calling thread, and those LibTorch starts for it, to `threads`.
// Call once at the start of each thread that runs an engine.
void ConfigureThread(int threads);

// Compares an INT8 matrix product of this machine with the exact one, extreme
// values included. INTERNAL if they differ: INT8 results can't be trusted.
absl::Status Int8SelfTest();

// "1.13.1", and whether it can reach a GPU.
std::string LibTorchVersion();
bool LibTorchHasCuda();

}  // namespace quantserve
