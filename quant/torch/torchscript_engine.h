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

// Settings of the whole process, made once. Call before weights are packed, a
// model is loaded or a graph runs.
// - The engine behind quantized operators: "onednn", "x86", "fbgemm" or
//   "qnnpack", the first that this LibTorch has. FAILED_PRECONDITION if it has
//   none.
// - No fusion of elementwise operators by LLVM: where LibTorch has it (Debian
//   13's 2.6), compiling some graphs never ends.
absl::Status PrepareLibTorch();

// TorchModel::Compile. `module` is freed as soon as it is not needed (moving a
// torch::jit::Module copies it, so that a value would not do). kOptimized falls
// back to the frozen module, with a note, if optimize_for_inference changes the
// output by more than 1e-4 of its largest element.
absl::StatusOr<std::unique_ptr<Engine>> CompileScript(
    torch::jit::Module&& module, ScriptExecution execution, const Plan& plan,
    const std::string& precision, const EngineOptions& options);

}  // namespace quantserve
