// What an INT8 file says about itself: the archive member "quantserve.json".
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "quant/pipeline/pipeline.h"
#include "quant/plan/plan.h"
#include "quant/plan/recipe.h"

namespace quantserve {

inline constexpr char kArtifactFile[] = "quantserve.json";

// The origin of a quantized model, and the recipe by which the same float plan
// gives the same quantized plan again.
struct Artifact {
  std::string model_sha256;
  Recipe recipe;
};

// One JSON object: format, model {path, sha256}, options, libraries, CPU, and
// the recipe.
std::string ArtifactJson(const ModelInfo& model, const QuantizeOptions& options,
                         const std::string& shard, const Recipe& recipe);

// INVALID_ARGUMENT if `json` is not what ArtifactJson writes.
absl::StatusOr<Artifact> ParseArtifact(const std::string& json);

// The quantized plan that the artifact's file runs, made again from the float
// plan of the model it came from. FAILED_PRECONDITION if that was another model
// (by SHA-256) or `json` is empty.
absl::StatusOr<Plan> RebuildQuantizedPlan(const Plan& float_plan,
                                          const std::string& model_sha256,
                                          const std::string& json);

// NOT_FOUND if there is no such file.
absl::StatusOr<int64_t> FileBytes(const std::string& path);

}  // namespace quantserve
