#include "quant/pipeline/reuse.h"

#include <array>
#include <charconv>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "quant/base/cpu.h"
#include "quant/base/status_macros.h"
#include "quant/onednn/onednn_engine.h"
#include "quant/pipeline/artifact_store.h"

namespace quantserve {
namespace {

// Raised by whoever changes what the importer, calibration, search or
// QuantizePlan make of the same inputs: what was kept before is made anew.
constexpr int kRulesVersion = 2;

// The shortest text that comes back as the same number.
std::string Text(double number) {
  std::array<char, 32> buffer;
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), number).ptr;
  return {buffer.data(), end};
}

std::string Text(const std::optional<double>& number) {
  return number ? Text(*number) : "none";
}

std::string Text(const std::vector<double>& numbers) {
  return absl::StrJoin(numbers, ",", [](std::string* out, double number) {
    *out += Text(number);
  });
}

std::string Text(const std::vector<TensorSpec>& specs) {
  return absl::StrJoin(specs, " ", [](std::string* out, const TensorSpec& s) {
    const auto& [name, shape, integers] = s;
    absl::StrAppend(out, name, ShapeString(shape), integers ? "i" : "");
  });
}

// The functions below name every field on purpose: whoever adds one must say
// here whether it changes the result, or it does not compile.

void AddModel(const ModelInfo& info, const ModelOptions& model,
              ArtifactInputs* inputs) {
  const auto& [path, model_inputs, preprocessing, engine, choice, cache_dir,
               artifact_dir, max_bytes] = model;
  const auto& [scale, mean, std] = preprocessing;
  const auto& [ladder, threads] = engine;
  ArtifactInputs& in = *inputs;
  in[kModelInput] = info.sha256;
  in["model.inputs"] = Text(info.inputs);
  in["model.outputs"] = Text(info.outputs);
  in["preprocessing.scale"] = Text(scale);
  in["preprocessing.mean"] = Text(mean);
  in["preprocessing.std"] = Text(std);
  // FP32 sums depend on how they are split.
  in["calibration.threads"] = absl::StrCat(threads);
  in["calibration.engine"] = EngineChoiceName(choice);
}

void AddCalibration(const QuantizeOptions& options, const Shard& shard,
                    ArtifactInputs* inputs) {
  const auto& [ranges, samples, batch, bias_correction, equalize, keep_fp32,
               max_drop, min_sqnr_db, min_speedup, detailed, force] = options;
  const auto& [method, percentile, averaging, bins] = ranges;
  ArtifactInputs& in = *inputs;
  in["calibration.shard_sha256"] = shard.sha256();
  in["calibration.samples"] = absl::StrCat(samples);
  in["calibration.batch"] = absl::StrCat(batch);
  in["calibration.range_method"] = RangeMethodName(method);
  in["calibration.percentile"] = Text(percentile);
  in["calibration.averaging"] = Text(averaging);
  in["calibration.bins"] = absl::StrCat(bins);
  in["search.bias_correction"] = BiasCorrectionName(bias_correction);
  in["search.equalize"] = EqualizeModeName(equalize);
  in["search.keep_fp32"] = absl::StrJoin(keep_fp32, ",");
  in["search.max_drop"] = Text(max_drop);
  in["search.min_sqnr_db"] = Text(min_sqnr_db);
  in["search.min_speedup"] = Text(min_speedup);
  // The report is kept, too.
  in["report.detailed"] = detailed ? "yes" : "no";
  // Features tell what is computed, not how fast.
  if (min_speedup || detailed) in["cpu.model"] = Cpu().model;
}

void AddMachine(ArtifactInputs* inputs) {
  ArtifactInputs& in = *inputs;
  in["versions.quantserve"] = QUANTSERVE_VERSION;
  in["versions.rules"] = absl::StrCat(kRulesVersion);
  in["versions.libtorch"] = LibTorchVersion();
  in["versions.onednn"] = OneDnnVersion();
  const auto& [model, cores, avx2, avx512, vnni, avx_vnni, avx512_bf16,
               amx_int8, amx_bf16] = Cpu();
  for (const auto& [name, has] :
       {std::pair{"cpu.avx2", avx2}, std::pair{"cpu.avx512", avx512},
        std::pair{"cpu.vnni", vnni}, std::pair{"cpu.avx_vnni", avx_vnni},
        std::pair{"cpu.avx512_bf16", avx512_bf16},
        std::pair{"cpu.amx_int8", amx_int8},
        std::pair{"cpu.amx_bf16", amx_bf16}}) {
    in[name] = has ? "yes" : "no";
  }
}

}  // namespace

ArtifactInputs InputsOf(const ModelInfo& info, const ModelOptions& model,
                        const QuantizeOptions& options, const Shard& shard) {
  ArtifactInputs inputs;
  AddModel(info, model, &inputs);
  AddCalibration(options, shard, &inputs);
  AddMachine(&inputs);
  return inputs;
}

std::optional<Decision> FindDecision(const std::string& directory,
                                     const ArtifactInputs& inputs,
                                     const Plan& plan, std::string* reason) {
  ArtifactLookup found = ArtifactStore(directory).Find(inputs);
  if (!found.artifact.has_value()) {
    *reason = std::move(found.reason);
    return std::nullopt;
  }
  absl::StatusOr<QuantizedPlan> quantized =
      QuantizePlan(plan, found.artifact->recipe, {});
  if (!quantized.ok()) {
    *reason = absl::StrCat("its recipe does not fit the model: ",
                           Printable(quantized.status().message(), 300));
    return std::nullopt;
  }
  *reason = kArtifactLoaded;
  return Decision{*std::move(found.artifact), *std::move(quantized)};
}

void KeepDecision(const std::string& directory, const Artifact& artifact,
                  QuantizationReport* report) {
  if (directory.empty()) return;
  const absl::Status kept = ArtifactStore(directory).Put(artifact);
  if (kept.ok()) return;
  // Reports are shown to callers, who must not learn the server's folders.
  report->notes.push_back(absl::StrCat(
      "the artifact could not be kept: ",
      absl::StrReplaceAll(kept.message(), {{directory, "--artifact_dir"}})));
}

absl::StatusOr<Plan> RebuildQuantizedPlan(const Plan& float_plan,
                                          const std::string& model_sha256,
                                          const std::string& text) {
  if (text.empty()) {
    return absl::FailedPreconditionError(
        "the INT8 file was not written by quantize_model");
  }
  const absl::StatusOr<Artifact> artifact = ParseArtifact(text);
  if (!artifact.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the INT8 file's ", kArtifactFile, ": ", artifact.status().message()));
  }
  if (artifact->inputs.at(kModelInput) != model_sha256) {
    return absl::FailedPreconditionError(
        "the INT8 file was made from another model");
  }
  QS_ASSIGN_OR_RETURN(QuantizedPlan quantized,
                      QuantizePlan(float_plan, artifact->recipe, {}));
  return std::move(quantized.plan);
}

}  // namespace quantserve
