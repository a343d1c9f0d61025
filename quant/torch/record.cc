#include "quant/torch/record.h"

#include <torch/csrc/jit/runtime/graph_executor.h>

#include "quant/base/status_macros.h"
#include "quant/torch/wall.h"

namespace quantserve {
namespace {

using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

// The names of the values to record, in the order of the outputs that hold
// them. Values that cannot be handed out of a graph (functions, classes) are
// left out.
std::vector<Value*> Recordable(Graph& graph) {
  std::vector<Value*> values;
  const auto add = [&values](Value* v) {
    switch (v->type()->kind()) {
      case c10::TypeKind::TensorType:
      case c10::TypeKind::IntType:
      case c10::TypeKind::FloatType:
      case c10::TypeKind::BoolType:
      case c10::TypeKind::NumberType:
      case c10::TypeKind::ListType:
      case c10::TypeKind::NoneType:
      case c10::TypeKind::OptionalType:
      case c10::TypeKind::StringType:
        values.push_back(v);
        break;
      default:
        break;
    }
  };
  for (size_t i = 1; i < graph.inputs().size(); ++i) add(graph.inputs()[i]);
  for (Node* node : graph.nodes()) {
    for (Value* v : node->outputs()) add(v);
  }
  return values;
}

torch::jit::Stack RunAll(const torch::jit::Module& module,
                         const std::shared_ptr<Graph>& graph,
                         const std::vector<InputSpec>& inputs, int64_t batch) {
  torch::jit::Stack stack{module._ivalue()};
  for (const InputSpec& input : inputs) {
    Shape shape{batch};
    shape.insert(shape.end(), input.shape.begin(), input.shape.end());
    // Zeros and ones are words of every vocabulary.
    const at::Tensor noise = torch::randn(shape);
    stack.push_back(input.integers ? noise.gt(0).to(torch::kFloat32) : noise);
  }
  torch::jit::GraphExecutor executor(graph, "record",
                                     torch::jit::ExecutorExecutionMode::SIMPLE);
  executor.run(stack);
  return stack;
}

bool SameScalar(const c10::IValue& a, const c10::IValue& b) {
  if (a.tagKind() != b.tagKind()) return false;
  if (a.isNone()) return true;
  if (a.isInt()) return a.toInt() == b.toInt();
  if (a.isBool()) return a.toBool() == b.toBool();
  if (a.isDouble()) return a.toDouble() == b.toDouble();
  if (a.isString()) return a.toStringRef() == b.toStringRef();
  if (a.isIntList()) return a.toIntVector() == b.toIntVector();
  if (a.isDoubleList()) return a.toDoubleVector() == b.toDoubleVector();
  return false;
}

RecordedValue Describe(const c10::IValue& two, const c10::IValue& three) {
  RecordedValue value;
  if (!two.isTensor() || !three.isTensor()) {
    value.constant = SameScalar(two, three);
    if (value.constant) value.scalar = two;
    return value;
  }
  const at::Tensor& a = two.toTensor();
  const at::Tensor& b = three.toTensor();
  if (!a.defined() || !b.defined() || a.is_mkldnn() || a.is_quantized() ||
      a.scalar_type() != torch::kFloat32 || a.dim() < 1 || a.dim() != b.dim() ||
      a.size(0) != 2 || b.size(0) != 3 || a.numel() == 0) {
    if (a.defined() && !a.is_mkldnn()) value.two = a.sizes().vec();
    return value;
  }
  value.batched = a.sizes().slice(1) == b.sizes().slice(1);
  value.shape = a.sizes().vec();
  value.shape[0] = 1;
  return value;
}

}  // namespace

absl::StatusOr<RecordedValues> RecordValues(
    const torch::jit::Module& module, const std::shared_ptr<Graph>& graph,
    const std::vector<InputSpec>& inputs) {
  const std::string what =
      absl::StrCat("model does not run on a batch of samples of shape [",
                   InputSpecsString(inputs), "]");
  return BehindWall(
      absl::StatusCode::kInvalidArgument, what,
      [&]() -> absl::StatusOr<RecordedValues> {
        if (graph->inputs().size() != inputs.size() + 1) {
          return absl::InvalidArgumentError(
              absl::StrCat("model takes ", graph->inputs().size() - 1,
                           " inputs, the samples have ", inputs.size()));
        }
        const std::vector<Value*> values = Recordable(*graph);
        std::unordered_map<std::string, Value*> copies;
        std::shared_ptr<Graph> observed = graph->copy();
        for (Value* v : observed->inputs()) copies[v->debugName()] = v;
        for (Node* node : observed->nodes()) {
          for (Value* v : node->outputs()) copies[v->debugName()] = v;
        }
        while (!observed->outputs().empty()) observed->eraseOutput(0);
        for (Value* v : values) {
          observed->registerOutput(copies.at(v->debugName()));
        }
        const torch::jit::Stack two = RunAll(module, observed, inputs, 2);
        const torch::jit::Stack three = RunAll(module, observed, inputs, 3);
        RecordedValues recorded;
        for (size_t i = 0; i < values.size(); ++i) {
          recorded[values[i]] = Describe(two[i], three[i]);
        }
        return recorded;
      });
}

}  // namespace quantserve
