// A module's forward(), one operator call after another: what eager PyTorch
// does, without Python. Nothing is fused, reordered or optimised.
#pragma once

#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>

#include <memory>
#include <vector>

namespace quantserve {

// Immutable; Run is thread-safe. Throws what LibTorch throws.
class OperatorWalk {
 public:
  explicit OperatorWalk(const torch::jit::Module& module);
  c10::IValue Run(const std::vector<at::Tensor>& inputs) const;

 private:
  struct Step {
    torch::jit::Node* node;
    // None: builds a container. Calling one is not const, but changes nothing.
    mutable c10::optional<torch::jit::Operation> operation;
    std::vector<int> inputs;  // registers
    std::vector<int> outputs;
  };

  const torch::jit::Module module_;
  std::shared_ptr<torch::jit::Graph> graph_;
  std::vector<Step> steps_;
  std::vector<std::pair<int, c10::IValue>> constants_;
  int registers_ = 0;
  // Set for a graph with control flow: the plain interpreter runs it.
  std::unique_ptr<torch::jit::GraphExecutor> executor_;
};

}  // namespace quantserve
