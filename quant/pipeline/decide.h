// The decisions of a quantization, before anything is compiled to be served.
#pragma once

#include "absl/status/statusor.h"
#include "quant/base/job_control.h"
#include "quant/data/shard.h"
#include "quant/pipeline/phase_clock.h"
#include "quant/pipeline/pipeline.h"
#include "quant/plan/plan.h"
#include "quant/plan/quantize_plan.h"
#include "quant/plan/recipe.h"

namespace quantserve {

struct DecidedRecipe {
  Recipe recipe;
  QuantizedPlan quantized;  // the plan by that recipe
};

// Searches for a recipe, applies it, and fills in of the report what follows
// from both: layers, trials, budget, notes. Errors as ModelPipeline::Quantize.
absl::StatusOr<DecidedRecipe> DecideRecipe(const Plan& plan, const Shard& shard,
                                           const Preprocessing& preprocessing,
                                           const QuantizeOptions& options,
                                           const JobControl& control,
                                           PhaseClock* clock,
                                           QuantizationReport* report);

}  // namespace quantserve
