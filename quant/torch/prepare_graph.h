// What happens to a frozen graph before it is imported: everything that depends
// on what the model is run on.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "quant/tensor/input_spec.h"
#include "quant/torch/load.h"
#include "quant/torch/record.h"

namespace quantserve {

// Makes inputs of integers take floats, takes branches whose condition depends
// on shapes and settings only, and takes fused attention apart into products
// that can be quantized. Returns what the graph's values are afterwards.
// Throws; INVALID_ARGUMENT as RecordValues.
absl::StatusOr<RecordedValues> PrepareGraph(
    FrozenModel* model, const std::vector<InputSpec>& inputs);

}  // namespace quantserve
