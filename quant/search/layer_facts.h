// What a report says about each layer.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "quant/base/job_control.h"
#include "quant/data/shard.h"
#include "quant/plan/plan.h"
#include "quant/plan/quantize_plan.h"
#include "quant/report/quantization_report.h"
#include "quant/search/search.h"

namespace quantserve {

// A row for each node of the float plan: name, operator, precision and reason,
// output shape and multiply-accumulates; and the share of the latter that runs
// in INT8. Costs nothing.
void FillLayers(const Plan& float_plan,
                const std::vector<NodeOutcome>& outcomes,
                QuantizationReport* report);

// Adds to the rows what takes runs to find out, on up to 32 held-out samples:
// the grid of each 8-bit output with its histogram and clipped share, and both
// signal-to-noise ratios. Phase "layers". CANCELLED.
absl::Status FillActivations(const Plan& float_plan, const FoundRecipe& found,
                             const Plan& quantized, const Shard& shard,
                             const Preprocessing& preprocessing,
                             const JobControl& control,
                             QuantizationReport* report);

// The float plan, and beside it each 8-bit node of `quantized` alone: its
// inputs are the plan's own, put on their grids. `outputs[i]` is the value that
// node i of the float plan gives so, or -1.
struct LocalPlan {
  Plan plan;
  std::vector<ValueId> outputs;
};
LocalPlan QuantizeEachAlone(const Plan& float_plan, const Plan& quantized);

}  // namespace quantserve
