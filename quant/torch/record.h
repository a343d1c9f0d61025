// What each value of a graph is, found by running the graph on two batch sizes.
#pragma once

#include <torch/script.h>

#include <unordered_map>

#include "absl/status/statusor.h"
#include "quant/tensor/input_spec.h"
#include "quant/tensor/tensor.h"

namespace quantserve {

struct RecordedValue {
  // An FP32 tensor whose dimension 0 is the batch and whose other dimensions
  // are the same for both batch sizes: it can be a value of a plan.
  bool batched = false;
  Shape shape;  // of a batched tensor, for a batch of one
  // Of any other defined tensor, for a batch of two.
  Shape two;
  // Otherwise, for anything but tensors: the value, and whether it was the same
  // for both batch sizes.
  c10::IValue scalar;
  bool constant = false;
};

using RecordedValues =
    std::unordered_map<const torch::jit::Value*, RecordedValue>;

// Runs `graph` (FreezeModel's) on zero-mean noise, zeros and ones where an
// input wants integers, batches of two and three, and records every value of
// its top level. INVALID_ARGUMENT, with what was expected, if it does not run.
absl::StatusOr<RecordedValues> RecordValues(
    const torch::jit::Module& module,
    const std::shared_ptr<torch::jit::Graph>& graph,
    const std::vector<InputSpec>& inputs);

}  // namespace quantserve
