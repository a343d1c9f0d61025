// Islands: operators of the model's graph that LibTorch runs.
#pragma once

#include <torch/script.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/plan/island.h"

namespace quantserve {

class TorchIsland : public Island {
 public:
  // `graph` takes FP32 tensors and returns FP32 tensors, has no other inputs
  // and no side effects.
  TorchIsland(std::string op, std::shared_ptr<torch::jit::Graph> graph);
  ~TorchIsland() override;

  const std::string& op() const override { return op_; }
  absl::Status Run(absl::Span<const float* const> inputs,
                   absl::Span<const Shape> input_shapes,
                   absl::Span<float* const> outputs,
                   absl::Span<const Shape> output_shapes) const override;

  // To be inlined elsewhere with torch::jit::insertGraph; not to be changed.
  torch::jit::Graph& graph() const { return *graph_; }

 private:
  const std::string op_;
  const std::shared_ptr<torch::jit::Graph> graph_;
  const std::unique_ptr<torch::jit::GraphExecutor> executor_;
};

// Builds the island that computes `outputs` from those values for which
// `boundary` is true; everything else that it takes (constants, sizes, lists,
// tensors without a batch) is computed inside it. `name` names the graph that
// came of it. Sets `inputs` to the boundary values in the order in which the
// island wants them, and `computed` to the nodes that it has copies of.
std::shared_ptr<const TorchIsland> BuildIsland(
    const std::function<std::string(const torch::jit::Graph&)>& name,
    const std::vector<torch::jit::Value*>& outputs,
    const std::function<bool(torch::jit::Value*)>& boundary,
    std::vector<torch::jit::Value*>* inputs,
    std::vector<const torch::jit::Node*>* computed);

// The whole of `graph` as one island, in-place operations included. `outputs`
// are values of its top level; its first input, the module, must be unused.
// INVALID_ARGUMENT if it is used.
absl::StatusOr<std::shared_ptr<const TorchIsland>> WholeGraphIsland(
    const torch::jit::Graph& graph,
    const std::vector<torch::jit::Value*>& outputs);

}  // namespace quantserve
