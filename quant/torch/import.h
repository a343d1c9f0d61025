// From a frozen TorchScript graph to a float plan.
#pragma once

#include <torch/script.h>

#include "absl/status/statusor.h"
#include "quant/plan/plan.h"
#include "quant/torch/load.h"

namespace quantserve {

// Every operator of the graph becomes a plan node of its kind or an island;
// BatchNorm is folded into the layer before it and ReLU-like clamps are fused.
// A graph with in-place operations that could not be removed becomes a single
// island. INVALID_ARGUMENT if the graph does not run on samples of
// `sample_shape`, or if an output is not an FP32 tensor with the batch first.
absl::StatusOr<Plan> ImportPlan(const FrozenModel& model,
                                const Shape& sample_shape);

}  // namespace quantserve
