// The gate in the wall: all that other rooms see of LibTorch. Nothing here
// includes its headers.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "quant/engine/engine.h"
#include "quant/plan/plan.h"
#include "quant/tensor/input_spec.h"

namespace quantserve {

// How a TorchScript module is run.
enum class ScriptExecution {
  kOperators,  // operator by operator, nothing fused or optimised: eager
  kJit,        // the profiling executor, as torch.jit.load's users get it
  kOptimized,  // frozen, then optimize_for_inference: LibTorch's best
  kCuda,       // kJit on the first GPU, transfers included
};

// A TorchScript file. Immutable; thread-safe.
class TorchModel {
 public:
  // NOT_FOUND if there is no such file; INVALID_ARGUMENT, naming it, if it is
  // empty, larger than `max_bytes`, or no TorchScript file that loads.
  static absl::StatusOr<std::unique_ptr<TorchModel>> Load(
      const std::string& path, int64_t max_bytes);
  ~TorchModel();

  // The float plan of the model for samples of these inputs. INVALID_ARGUMENT
  // if it does not run on them.
  absl::StatusOr<Plan> Import(const std::vector<InputSpec>& inputs) const;

  // The file as it is, run by LibTorch. `plan` names its inputs and outputs.
  // FAILED_PRECONDITION for kCuda without a GPU.
  absl::StatusOr<std::unique_ptr<Engine>> Compile(
      ScriptExecution execution, const Plan& plan, const std::string& precision,
      const EngineOptions& options) const;
  // The same as a model's last use: its weights are freed on the way.
  static absl::StatusOr<std::unique_ptr<Engine>> CompileLast(
      std::unique_ptr<TorchModel> model, ScriptExecution execution,
      const Plan& plan, const std::string& precision,
      const EngineOptions& options);

  // A file stored beside the code in the archive; empty if there is none.
  std::string ExtraFile(const std::string& name) const;

 private:
  struct Impl;
  explicit TorchModel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The *torchscript* engine for a plan of either form. Each batch size of the
// ladder gets packed weights of its own: LibTorch's cache a primitive for the
// first input shape that they see, and any other shape is slow for ever after.
// FAILED_PRECONDITION if LibTorch has no operator for a node.
absl::StatusOr<std::unique_ptr<Engine>> CompileTorchScript(
    const Plan& plan, const EngineOptions& options);

// Writes the plan as a TorchScript file that torch.jit.load reads, with
// `extra_files` beside the code, through a temporary file in the same
// directory.
absl::Status SaveTorchScript(
    const Plan& plan, const std::string& path,
    const std::map<std::string, std::string>& extra_files);

// The specifications of a plan's inputs or outputs.
std::vector<TensorSpec> Specs(const Plan& plan,
                              const std::vector<ValueId>& ids);

// See quant/pipeline/pipeline.h.
void SetTorchThreads(int threads);
std::string TorchVersion();
bool TorchHasCuda();

}  // namespace quantserve
