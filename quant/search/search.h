// From a float plan and a shard to the recipe that quantizes it best: ranges,
// equalization, bias correction and the accuracy budget, each tried on samples
// that it was not fitted to, and kept only where it helps.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/base/job_control.h"
#include "quant/data/shard.h"
#include "quant/plan/plan.h"
#include "quant/plan/recipe.h"
#include "quant/report/quantization_report.h"
#include "quant/search/held_out.h"
#include "quant/search/options.h"
#include "quant/search/scorer.h"
#include "quant/torch/calibrate.h"

namespace quantserve {

struct FoundRecipe {
  Recipe recipe;
  RangeOptions ranges;  // the method that was used, never kAuto
  Score score;          // of `recipe`, on the held-out samples
  Split split;
  // What calibration saw of the plan, equalized as the recipe says.
  std::shared_ptr<const Calibration> calibration;
  std::vector<TrialReport> trials;
  std::vector<std::string> notes;
  std::optional<BudgetReport> budget;  // none: none was asked for
};

// Deterministic: equal arguments give equal recipes. Phases: "ranges",
// "histograms", "search", "equalize" (then the first two again), "bias",
// "budget". INVALID_ARGUMENT for a shard or options that do not fit the plan,
// or a layer to keep that it does not have; CANCELLED. A budget that cannot be
// held is no error: FoundRecipe::budget says so.
absl::StatusOr<FoundRecipe> FindRecipe(const Plan& plan, const Shard& shard,
                                       const Preprocessing& preprocessing,
                                       const SearchOptions& options,
                                       const JobControl& control);

}  // namespace quantserve
