// From a TorchScript file to a graph that can be taken apart.
#pragma once

#include <torch/script.h>

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace quantserve {

// Loads a TorchScript file onto the CPU, in evaluation mode. NOT_FOUND if there
// is none; INVALID_ARGUMENT, naming the file, if it is not a regular file, is
// empty or larger than `max_bytes`, is not TorchScript, or does not load.
// `extra_files` names files beside the code; those that are there are filled.
absl::StatusOr<torch::jit::Module> LoadModule(
    const std::string& path, int64_t max_bytes,
    std::map<std::string, std::string>* extra_files);

// torch::jit::freeze, for modules that are frozen already too. Throws.
torch::jit::Module Frozen(const torch::jit::Module& module);

struct FrozenModel {
  torch::jit::Module module;  // frozen: parameters are constants of the graph
  // forward(): inlined, without in-place operations where that was possible,
  // every value named. Its first input is the module itself.
  std::shared_ptr<torch::jit::Graph> graph;
  bool functional = true;  // false: in-place operations are left
};

// Simplifies the graph after a change: constants, dead code; names new values.
// Throws.
void FinishGraph(FrozenModel* model);

// INVALID_ARGUMENT if the module has no forward().
absl::StatusOr<FrozenModel> FreezeModel(const torch::jit::Module& module);

}  // namespace quantserve
