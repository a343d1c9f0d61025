// From a plan to a TorchScript module.
#pragma once

#include <torch/script.h>

#include <vector>

#include "absl/status/statusor.h"
#include "quant/plan/plan.h"

namespace quantserve {

// The plan as it is run and saved: LibTorch rounds what an 8-bit layer writes,
// but logits decide by small differences, so the last layer writes FP32. Exact
// for a plan in FP32.
Plan ForTorchScript(const Plan& plan);

struct EmitOptions {
  // Values of the plan to return besides its outputs, dequantized.
  std::vector<ValueId> observe;
};

// A module whose forward(x) computes the plan with LibTorch's operators: aten::
// for FP32 nodes, quantized:: for 8-bit ones, islands inlined. It returns a
// tensor if there is one output and nothing observed, else a tuple. Weights are
// attributes, so the module saves, and loads in Python with torch.jit.load.
// Any batch size runs, but 8-bit layers are fast only for the first they see.
// An 8-bit layer that writes FP32 runs in FP32 on the same numbers.
// FAILED_PRECONDITION for plans that LibTorch has no operator for: convolutions
// with unequal padding at opposite ends.
absl::StatusOr<torch::jit::Module> EmitModule(const Plan& plan,
                                              const EmitOptions& options);

}  // namespace quantserve
