// The engine that runs wherever LibTorch does: its operators, through its
// interpreter. The oracle for the other one.
#pragma once

#include <torch/script.h>

#include <memory>

#include "absl/status/statusor.h"
#include "quant/engine/engine.h"
#include "quant/plan/plan.h"
#include "quant/torch/load.h"

namespace quantserve {

// Compiles a quantized plan. Each batch size of the ladder gets a module with
// weights of its own: LibTorch's packed weights cache a primitive for the first
// input shape that they see, and any other shape is slow for ever after.
absl::StatusOr<std::unique_ptr<Engine>> CompileTorchScript(
    const Plan& plan, const EngineOptions& options);

// Compiles the FP32 model: optimize_for_inference if its output is equal to the
// frozen model's (largest difference at most 1e-4 of the largest output), else
// the frozen model. `plan` is the model's float plan: names and shapes.
absl::StatusOr<std::unique_ptr<Engine>> CompileTorchScriptFloat(
    const FrozenModel& model, const Plan& plan, const EngineOptions& options);

// The engine in front of LibTorch's quantized operators, once per process:
// "onednn", "x86", "fbgemm" or "qnnpack", the first that this LibTorch has.
// Call before weights are packed or a quantized model is loaded.
// FAILED_PRECONDITION if it has none.
absl::Status SelectQuantizedEngine();

// Wraps any module whose forward takes and returns the plan's inputs and
// outputs. For the comparisons of evaluate_model.
enum class ModuleExecution {
  kJit,        // the profiling executor, as C++ and Python users get it
  kOperators,  // operator by operator, nothing fused or optimised
};
absl::StatusOr<std::unique_ptr<Engine>> WrapModule(
    const torch::jit::Module& module, ModuleExecution execution,
    const Plan& plan, const std::string& precision,
    const EngineOptions& options);

// The specifications of a plan's inputs or outputs.
std::vector<TensorSpec> Specs(const Plan& plan,
                              const std::vector<ValueId>& ids);

}  // namespace quantserve
