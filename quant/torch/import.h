// From a frozen TorchScript graph to a float plan.
#pragma once

#include <torch/script.h>

#include "absl/status/statusor.h"
#include "quant/plan/plan.h"
#include "quant/tensor/input_spec.h"
#include "quant/torch/load.h"

namespace quantserve {

// Every operator of the graph becomes a plan node of its kind or an island;
// BatchNorm is folded into the layer before it and ReLU-like clamps are fused.
// Branches that do not depend on data are taken once and for all, and fused
// attention is taken apart: both change `model`. A graph with in-place
// operations that could not be removed becomes a single island.
// INVALID_ARGUMENT if the graph does not run on samples of these inputs, takes
// none or gives none, or if an output is not an FP32 tensor with the batch
// first.
absl::StatusOr<Plan> ImportPlan(FrozenModel* model,
                                const std::vector<InputSpec>& inputs);

}  // namespace quantserve
