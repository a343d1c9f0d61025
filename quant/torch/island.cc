#include "quant/torch/island.h"

#include <torch/csrc/jit/runtime/graph_executor.h>

#include <cstring>
#include <unordered_map>

#include "quant/torch/wall.h"

namespace quantserve {
namespace {

using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

class Builder {
 public:
  Builder(const std::function<bool(Value*)>& boundary,
          std::vector<Value*>* inputs, std::vector<const Node*>* computed)
      : boundary_(boundary), inputs_(inputs), computed_(computed) {}

  std::shared_ptr<Graph> Build(const std::vector<Value*>& outputs) {
    for (Value* v : outputs) {
      Value* inside = CloneProducer(v);
      graph_->registerOutput(inside);
    }
    return graph_;
  }

 private:
  // The copy of `v` inside the island.
  Value* Resolve(Value* v) {
    const auto known = inside_.find(v);
    if (known != inside_.end()) return known->second;
    if (boundary_(v)) {
      Value* input = graph_->addInput();
      inputs_->push_back(v);
      return inside_[v] = input;
    }
    return CloneProducer(v);
  }

  Value* CloneProducer(Value* v) {
    const auto known = inside_.find(v);
    if (known != inside_.end()) return known->second;
    Node* node = v->node();
    // createClone asks for the node's inputs and for what its blocks capture;
    // producers are appended to the graph before the clone is.
    Node* clone =
        graph_->createClone(node, [this](Value* in) { return Resolve(in); });
    graph_->appendNode(clone);
    computed_->push_back(node);
    for (size_t i = 0; i < node->outputs().size(); ++i) {
      inside_[node->outputs()[i]] = clone->outputs()[i];
    }
    return inside_[v];
  }

  const std::function<bool(Value*)>& boundary_;
  std::vector<Value*>* const inputs_;
  std::vector<const Node*>* const computed_;
  std::shared_ptr<Graph> graph_ = std::make_shared<Graph>();
  std::unordered_map<Value*, Value*> inside_;
};

}  // namespace

TorchIsland::TorchIsland(std::string op, std::shared_ptr<Graph> graph)
    : op_(std::move(op)),
      graph_(std::move(graph)),
      executor_(std::make_unique<torch::jit::GraphExecutor>(
          graph_->copy(), "island",
          torch::jit::ExecutorExecutionMode::SIMPLE)) {}

TorchIsland::~TorchIsland() = default;

absl::Status TorchIsland::Run(absl::Span<const float* const> inputs,
                              absl::Span<const Shape> input_shapes,
                              absl::Span<float* const> outputs,
                              absl::Span<const Shape> output_shapes) const {
  return BehindWall(
      absl::StatusCode::kInternal, absl::StrCat("operator ", op_),
      [&]() -> absl::Status {
        torch::jit::Stack stack;
        for (size_t i = 0; i < inputs.size(); ++i) {
          stack.push_back(torch::from_blob(const_cast<float*>(inputs[i]),
                                           input_shapes[i], torch::kFloat32));
        }
        executor_->run(stack);
        if (stack.size() != outputs.size()) {
          return absl::InternalError(absl::StrCat(
              "operator ", op_, " returned ", stack.size(), " values"));
        }
        for (size_t i = 0; i < outputs.size(); ++i) {
          const at::Tensor result =
              stack[i].toTensor().to(torch::kFloat32).contiguous();
          if (result.sizes() != at::IntArrayRef(output_shapes[i])) {
            return absl::InternalError(absl::StrCat(
                "operator ", op_, " returned shape ",
                ShapeString({result.sizes().data(), result.sizes().size()}),
                ", want ", ShapeString(output_shapes[i])));
          }
          std::memcpy(outputs[i], result.data_ptr<float>(), result.nbytes());
        }
        return absl::OkStatus();
      });
}

std::shared_ptr<const TorchIsland> BuildIsland(
    const std::function<std::string(const Graph&)>& name,
    const std::vector<Value*>& outputs,
    const std::function<bool(Value*)>& boundary, std::vector<Value*>* inputs,
    std::vector<const Node*>* computed) {
  inputs->clear();
  computed->clear();
  auto graph = Builder(boundary, inputs, computed).Build(outputs);
  std::string op = name(*graph);
  return std::make_shared<TorchIsland>(std::move(op), std::move(graph));
}

absl::StatusOr<std::shared_ptr<const TorchIsland>> WholeGraphIsland(
    const Graph& graph, const std::vector<Value*>& outputs) {
  // Graph::copy is not const in LibTorch 1.x, though it changes nothing.
  std::shared_ptr<Graph> copy = const_cast<Graph&>(graph).copy();
  std::unordered_map<std::string, Value*> copies;
  for (Value* v : copy->inputs()) copies[v->debugName()] = v;
  for (Node* node : copy->nodes()) {
    for (Value* v : node->outputs()) copies[v->debugName()] = v;
  }
  while (!copy->outputs().empty()) copy->eraseOutput(0);
  for (Value* v : outputs) copy->registerOutput(copies.at(v->debugName()));
  if (copy->inputs()[0]->hasUses()) {
    return absl::InvalidArgumentError(
        "model changes its own attributes while it runs");
  }
  copy->eraseInput(0);
  return std::make_shared<const TorchIsland>("whole model", std::move(copy));
}

}  // namespace quantserve
