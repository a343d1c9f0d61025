#include "quant/pipeline/pipeline.h"

#include <algorithm>
#include <optional>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "quant/base/memory.h"
#include "quant/base/sha256.h"
#include "quant/base/status_macros.h"
#include "quant/data/file.h"
#include "quant/onednn/onednn_engine.h"
#include "quant/pipeline/artifact.h"
#include "quant/pipeline/decide.h"
#include "quant/pipeline/engine_cache.h"
#include "quant/pipeline/phase_clock.h"
#include "quant/pipeline/reuse.h"
#include "quant/pipeline/select_engine.h"
#include "quant/pipeline/speed.h"
#include "quant/torch/torch.h"

namespace quantserve {
namespace {

// FP32 engines differ by rounding and by Winograd's; 8-bit ones by a step here
// and there. What is lower is another function.
constexpr double kFloatSqnrDb = 50;
constexpr double kInt8SqnrDb = 12;
constexpr int64_t kProbeSamples = 8;

// Noise for the comparison of engines where there is no shard; zeros and ones
// for token ids, which every vocabulary has.
std::vector<float> Noise(int64_t elements, bool integers) {
  std::vector<float> noise(static_cast<size_t>(elements));
  std::mt19937 random(1);  // NOLINT: the same numbers on every start
  std::normal_distribution<float> normal;
  for (float& x : noise) {
    x = normal(random);
    if (integers) x = x > 0 ? 1 : 0;
  }
  return noise;
}

class Pipeline : public ModelPipeline {
 public:
  Pipeline(ModelOptions options, ModelInfo info, Plan plan)
      : options_(std::move(options)),
        info_(std::move(info)),
        plan_(std::move(plan)),
        cache_(options_.cache_dir) {}

  const ModelInfo& info() const override { return info_; }
  const ModelOptions& options() const override { return options_; }

  absl::StatusOr<CompiledVariant> CompileFloat(
      const JobControl& control) const override {
    QS_RETURN_IF_ERROR(control.Report("compile", 0, 1));
    const auto script = [this](std::vector<int64_t> ladder)
        -> absl::StatusOr<std::unique_ptr<Engine>> {
      // Loaded for this only: its weights would double the plan's.
      QS_ASSIGN_OR_RETURN(auto model,
                          TorchModel::Load(options_.path, options_.max_bytes));
      EngineOptions engine = options_.engine;
      engine.ladder = std::move(ladder);
      return TorchModel::CompileLast(
          std::move(model), ScriptExecution::kOptimized, plan_, "fp32", engine);
    };
    QS_ASSIGN_OR_RETURN(
        CompiledVariant variant,
        Select({"torchscript", [&] { return script(options_.engine.ladder); },
                [&] { return script({1}); }},
               OneDnn(plan_, "fp32"), Probe(kFloatSqnrDb)));
    variant.size_bytes = plan_.WeightBytes();
    QS_RETURN_IF_ERROR(control.Report("compile", 1, 1));
    return variant;
  }

  absl::StatusOr<CompiledVariant> CompileBf16(
      const JobControl& control) const override {
    if (options_.engine_choice == EngineChoice::kTorchScript) {
      return absl::FailedPreconditionError(
          "bf16 needs the engine onednn, torchscript is asked for");
    }
    QS_RETURN_IF_ERROR(control.Report("compile", 0, 1));
    // Against itself: what BF16 costs in accuracy is for the evaluation to say.
    QS_ASSIGN_OR_RETURN(
        CompiledVariant variant,
        SelectEngine({OneDnn(plan_, "bf16")}, Probe(kFloatSqnrDb)));
    variant.size_bytes = plan_.WeightBytes();
    QS_RETURN_IF_ERROR(control.Report("compile", 1, 1));
    return variant;
  }

  absl::StatusOr<QuantizedVariant> Quantize(
      const QuantizeOptions& options, const Shard& shard,
      const JobControl& control) const override {
    QS_RETURN_IF_ERROR(options.Validate());
    QuantizationReport run;  // what belongs to this run alone
    PhaseClock clock(&run);
    std::optional<Decision> decision;
    if (options.force) {
      run.artifact = "it was asked for anew";
    } else if (options_.artifact_dir.empty()) {
      run.artifact = "no artifacts are kept";
    } else {
      clock.Begin("load");
      QS_RETURN_IF_ERROR(control.Report("load", 0, 1));
      decision = FindDecision(options_.artifact_dir,
                              InputsOf(info_, options_, options, shard), plan_,
                              &run.artifact);
      QS_RETURN_IF_ERROR(control.Report("load", 1, 1));
    }
    const bool loaded = decision.has_value();
    if (!loaded) {
      decision.emplace();
      // The search compiles plans by the dozen.
      ForgetPrimitives();
      QS_ASSIGN_OR_RETURN(
          DecidedRecipe decided,
          DecideRecipe(plan_, shard, options_.preprocessing, options, control,
                       &clock, &decision->artifact.report));
      ForgetPrimitives();
      decision->artifact.inputs = InputsOf(info_, options_, options, shard);
      decision->artifact.recipe = std::move(decided.recipe);
      decision->quantized = std::move(decided.quantized);
    }

    clock.Begin("compile");
    QS_RETURN_IF_ERROR(control.Report("compile", 0, 1));
    QuantizedVariant result;
    auto plan =
        std::make_shared<const Plan>(std::move(decision->quantized.plan));
    QS_ASSIGN_OR_RETURN(result.variant, CompileInt8(*plan, shard));
    QS_RETURN_IF_ERROR(control.Report("compile", 1, 1));
    clock.End();
    if (!loaded) {
      QS_RETURN_IF_ERROR(MeasureSpeed(options, result.variant, control,
                                      &decision->artifact.report));
    }

    auto artifact =
        std::make_shared<const Artifact>(std::move(decision->artifact));
    result.report = artifact->report;
    result.report.digest = RecipeDigest(artifact->recipe);
    result.report.artifact = std::move(run.artifact);
    result.report.phases = std::move(run.phases);
    result.report.shard = shard.name();
    if (!loaded) {
      KeepDecision(options_.artifact_dir, *artifact, &result.report);
    }
    result.save = [plan, artifact](const std::string& path) -> absl::Status {
      QS_ASSIGN_OR_RETURN(const std::string text, ArtifactText(*artifact));
      return SaveTorchScript(*plan, path, {{kArtifactFile, text}});
    };
    return result;
  }

 private:
  absl::Status MeasureSpeed(const QuantizeOptions& options,
                            const CompiledVariant& int8,
                            const JobControl& control,
                            QuantizationReport* report) const {
    if (options.min_speedup) {
      QS_ASSIGN_OR_RETURN(const CompiledVariant fp32, CompileFloat(control));
      JudgeSpeed(*options.min_speedup, fp32, int8, report);
    }
    if (!options.detailed_report) return absl::OkStatus();
    QS_RETURN_IF_ERROR(FillTimes(*int8.engine, LayerTime::kInt8, report));
    // Whichever engine serves FP32, only this one can tell layers apart.
    const auto fp32 = OneDnn(plan_, "fp32").compile();
    if (!fp32.ok()) return absl::OkStatus();
    return FillTimes(**fp32, LayerTime::kFp32, report);
  }

  absl::StatusOr<CompiledVariant> CompileInt8(const Plan& plan,
                                              const Shard& shard) const {
    SelectionOptions selection;
    selection.min_sqnr_db = kInt8SqnrDb;
    selection.probe_samples = std::min(kProbeSamples, shard.size());
    for (size_t i = 0; i < shard.num_inputs(); ++i) {
      std::vector<float>& probe = selection.probe.emplace_back(
          selection.probe_samples * shard.sample_elements(i));
      shard.Copy(i, 0, selection.probe_samples, options_.preprocessing,
                 absl::MakeSpan(probe));
    }
    EngineOptions one = options_.engine;
    one.ladder = {1};
    QS_ASSIGN_OR_RETURN(
        CompiledVariant variant,
        Select({"torchscript",
                [&] { return CompileTorchScript(plan, options_.engine); },
                [&] { return CompileTorchScript(plan, one); }},
               OneDnn(plan, "int8"), selection));
    variant.precision = "int8";
    variant.size_bytes = plan.WeightBytes();
    return variant;
  }

  // `plan` must outlive the candidate.
  EngineCandidate OneDnn(const Plan& plan, const std::string& precision) const {
    return {
        "onednn",
        [this, &plan, precision]() -> absl::StatusOr<std::unique_ptr<Engine>> {
          const std::string key =
              absl::StrCat(info_.sha256, "-", precision, "-",
                           absl::StrJoin(options_.engine.ladder, "."), "-",
                           options_.engine.threads, ".json");
          OneDnnOptions options;
          options.bf16 = precision == "bf16";
          options.choices_json = cache_.Load(key);
          QS_ASSIGN_OR_RETURN(auto engine,
                              CompileOneDnn(plan, options_.engine, options));
          if (engine->choices_json() != options.choices_json) {
            cache_.Store(key, engine->choices_json());
          }
          return engine;
        },
        nullptr};
  }

  absl::StatusOr<CompiledVariant> Select(
      EngineCandidate script, EngineCandidate onednn,
      const SelectionOptions& options) const {
    switch (options_.engine_choice) {
      case EngineChoice::kTorchScript:
        return SelectEngine({std::move(script)}, options);
      case EngineChoice::kOneDnn:
        return SelectEngine({std::move(onednn)}, options);
      case EngineChoice::kAuto:
        break;
    }
    return SelectEngine({std::move(script), std::move(onednn)}, options);
  }

  SelectionOptions Probe(double min_sqnr_db) const {
    SelectionOptions selection;
    selection.min_sqnr_db = min_sqnr_db;
    selection.probe_samples = kProbeSamples;
    for (const TensorSpec& input : info_.inputs) {
      selection.probe.push_back(
          Noise(kProbeSamples * input.elements(), input.integers));
    }
    return selection;
  }

  const ModelOptions options_;
  const ModelInfo info_;
  const Plan plan_;
  const EngineCache cache_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ModelPipeline>> OpenModel(
    const ModelOptions& options) {
  QS_RETURN_IF_ERROR(options.Validate());
  QS_ASSIGN_OR_RETURN(std::unique_ptr<TorchModel> model,
                      TorchModel::Load(options.path, options.max_bytes));
  absl::StatusOr<Plan> plan = model->Import(options.inputs);
  if (!plan.ok()) {
    return absl::Status(plan.status().code(),
                        absl::StrCat("model \"", options.path,
                                     "\": ", plan.status().message()));
  }
  ModelInfo info;
  info.path = options.path;
  QS_ASSIGN_OR_RETURN(info.sha256, Sha256File(options.path));
  QS_ASSIGN_OR_RETURN(info.file_bytes, FileBytes(options.path));
  info.inputs = Specs(*plan, plan->inputs);
  info.outputs = Specs(*plan, plan->outputs);
  info.macs = plan->Macs();
  model.reset();
  ReturnFreedMemory();
  return std::make_unique<Pipeline>(options, std::move(info), *std::move(plan));
}

void ConfigureThread(int threads) { SetTorchThreads(threads); }
std::string LibTorchVersion() { return TorchVersion(); }
bool LibTorchHasCuda() { return TorchHasCuda(); }

}  // namespace quantserve
