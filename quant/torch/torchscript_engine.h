// The engine that runs wherever LibTorch does: its operators, through its
// interpreter. The oracle for the other one.
#pragma once

#include <torch/script.h>

#include <memory>

#include "absl/status/statusor.h"
#include "quant/engine/engine.h"
#include "quant/plan/plan.h"
#include "quant/torch/torch.h"

namespace quantserve {

// The engine in front of LibTorch's quantized operators, once per process:
// "onednn", "x86", "fbgemm" or "qnnpack", the first that this LibTorch has.
// Call before weights are packed or a quantized model is loaded.
// FAILED_PRECONDITION if it has none.
absl::Status SelectQuantizedEngine();

// TorchModel::Compile. `module` is freed as soon as it is not needed (moving a
// torch::jit::Module copies it, so that a value would not do). kOptimized falls
// back to the frozen module, with a note, if optimize_for_inference changes the
// output by more than 1e-4 of its largest element.
absl::StatusOr<std::unique_ptr<Engine>> CompileScript(
    torch::jit::Module&& module, ScriptExecution execution, const Plan& plan,
    const std::string& precision, const EngineOptions& options);

}  // namespace quantserve
