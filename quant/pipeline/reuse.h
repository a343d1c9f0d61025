// What an earlier quantization of the same model, shard and options decided, so
// that nothing is calibrated twice.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "quant/data/shard.h"
#include "quant/pipeline/artifact.h"
#include "quant/pipeline/pipeline.h"
#include "quant/plan/plan.h"
#include "quant/plan/quantize_plan.h"

namespace quantserve {

// What a quantization came to: an artifact, and the plan that its recipe gives.
struct Decision {
  Artifact artifact;
  QuantizedPlan quantized;
};

// Everything that the result of Quantize depends on: contents of the model and
// the shard, options, versions of the libraries and of our own rules, features
// of the processor. Paths, names and what only changes the speed are not in it.
ArtifactInputs InputsOf(const ModelInfo& info, const ModelOptions& model,
                        const QuantizeOptions& options, const Shard& shard);

// The decision that `directory` keeps for these inputs, applied to the model's
// float plan. Without one, `*reason` says why, in one line; with one it is
// kArtifactLoaded.
std::optional<Decision> FindDecision(const std::string& directory,
                                     const ArtifactInputs& inputs,
                                     const Plan& plan, std::string* reason);

// Keeps a decision for the next start, unless `directory` is empty. What goes
// wrong, a full disk above all, becomes a note in the report: the quantization
// itself is as good as ever.
void KeepDecision(const std::string& directory, const Artifact& artifact,
                  QuantizationReport* report);

// The quantized plan that an INT8 file runs, made again from the float plan of
// the model it came from. `text` is the file's kArtifactFile.
// FAILED_PRECONDITION if that was another model (by SHA-256), or if `text` is
// empty or not what this version writes.
absl::StatusOr<Plan> RebuildQuantizedPlan(const Plan& float_plan,
                                          const std::string& model_sha256,
                                          const std::string& text);

}  // namespace quantserve
