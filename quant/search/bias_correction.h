// Bias correction measured on samples, layer after layer.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/base/job_control.h"
#include "quant/data/shard.h"
#include "quant/plan/plan.h"
#include "quant/plan/recipe.h"

namespace quantserve {

struct EmpiricalBiasOptions {
  int64_t first = 0;
  int64_t samples = 64;  // upper bound; fewer where activations are large
};

// For each 8-bit layer in order, b_c += E[y_fp - y_q]_c, where y_q comes from
// the quantized layers before it, corrected already (Nagel et al. 2019,
// appendix D). y is what the layer writes, clamp and rounding included; behind
// a ReLU the mean is over the positions where y_fp or y_q is not 0, as the bias
// has no effect on the others. (The textbook's mean before the ReLU cost
// ResNet-18 0.2 to 1 dB: it corrects what nobody reads.) Shifts that exceed
// twice the layer's largest mean output are left out, as NNCF does: they come
// of something that a bias cannot mend. `recipe`'s own shifts are not used. One
// run of both plans, side by side, node by node; phase "bias". CANCELLED.
absl::StatusOr<std::map<std::string, std::vector<float>>> EmpiricalBiasShifts(
    const Plan& float_plan, const Recipe& recipe, const Shard& shard,
    const Preprocessing& preprocessing, const EmpiricalBiasOptions& options,
    const JobControl& control);

}  // namespace quantserve
