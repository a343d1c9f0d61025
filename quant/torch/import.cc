#include "quant/torch/import.h"

#include <algorithm>

#include "quant/base/status_macros.h"
#include "quant/plan/fuse.h"
#include "quant/torch/import_context.h"
#include "quant/torch/island.h"
#include "quant/torch/wall.h"

namespace quantserve {
namespace {

namespace jit = torch::jit;

// Operators that give back their input in evaluation mode, on the CPU.
bool IsIdentity(const jit::Node* node) {
  static const auto* kNames = new std::vector<std::string>{
      "aten::dropout",       "aten::feature_dropout",
      "aten::alpha_dropout", "aten::contiguous",
      "aten::detach",        "aten::alias",
      "aten::clone",         "aten::to",
      "aten::Identity"};
  return std::find(kNames->begin(), kNames->end(),
                   node->kind().toQualString()) != kNames->end();
}

// The operator that reports should name for an island: what computes the value,
// not the list that it is unpacked from.
std::string IslandName(const jit::Node* node) {
  const bool unpacks = node->kind() == c10::prim::ListUnpack ||
                       node->kind() == c10::prim::TupleUnpack;
  return (unpacks ? node->input(0)->node() : node)->kind().toQualString();
}

void AppendIsland(const jit::Node* node, std::vector<jit::Value*> outputs,
                  ImportContext* context) {
  std::vector<jit::Value*> inputs;
  const auto boundary = [context](jit::Value* v) {
    return context->Find(v).has_value();
  };
  auto island = BuildIsland(IslandName(node), outputs, boundary, &inputs);
  Node plan_node;
  plan_node.name = outputs[0]->debugName();
  for (jit::Value* v : inputs) plan_node.inputs.push_back(*context->Find(v));
  const char* function = UnaryFunction(node);
  const bool unary =
      function != nullptr && inputs.size() == 1 && outputs.size() == 1 &&
      context->ShapeOf(inputs[0]) == context->ShapeOf(outputs[0]);
  if (unary) {
    plan_node.kind = OpKind::kUnary;
    plan_node.attrs = UnaryAttrs{function, island, nullptr};
  } else {
    plan_node.kind = OpKind::kIsland;
    plan_node.attrs = IslandAttrs{island};
  }
  for (jit::Value* v : outputs) plan_node.outputs.push_back(context->Create(v));
  context->plan().nodes.push_back(std::move(plan_node));
}

void ImportNode(jit::Node* node, ImportContext* context) {
  std::vector<jit::Value*> outputs;
  for (jit::Value* v : node->outputs()) {
    if (context->IsPlanValue(v) && v->hasUses()) outputs.push_back(v);
  }
  // What makes no plan value (constants, sizes, lists) becomes part of the
  // islands that use it.
  if (outputs.empty() || node->kind() == c10::prim::Constant) return;
  if (IsIdentity(node) && outputs.size() == 1) {
    const auto input = context->Find(node->input(0));
    if (input &&
        context->ShapeOf(node->input(0)) == context->ShapeOf(outputs[0])) {
      context->Alias(outputs[0], *input);
      return;
    }
  }
  if (outputs.size() == 1 && ImportOperator(node, context)) return;
  AppendIsland(node, std::move(outputs), context);
}

// In-place operations tie values together behind the graph's back: such a graph
// is run as it is.
absl::Status ImportWhole(const jit::Graph& graph,
                         const std::vector<jit::Value*>& outputs,
                         ImportContext* context) {
  QS_ASSIGN_OR_RETURN(auto island, WholeGraphIsland(graph, outputs));
  Node node;
  node.name = outputs.at(0)->debugName();
  node.kind = OpKind::kIsland;
  node.inputs = context->plan().inputs;
  node.attrs = IslandAttrs{std::move(island)};
  for (const jit::Value* v : outputs)
    node.outputs.push_back(context->Create(v));
  context->plan().nodes.push_back(std::move(node));
  return absl::OkStatus();
}

// Model outputs: a tensor, or a tuple or list of tensors.
absl::StatusOr<std::vector<jit::Value*>> OutputValues(jit::Graph& graph) {
  std::vector<jit::Value*> outputs;
  for (jit::Value* v : graph.outputs()) {
    if (v->node()->kind() == c10::prim::TupleConstruct ||
        v->node()->kind() == c10::prim::ListConstruct) {
      for (jit::Value* element : v->node()->inputs()) {
        outputs.push_back(element);
      }
    } else {
      outputs.push_back(v);
    }
  }
  return outputs;
}

absl::StatusOr<Plan> Import(const FrozenModel& model,
                            const Shape& sample_shape) {
  QS_ASSIGN_OR_RETURN(RecordedValues recorded,
                      RecordValues(model.module, model.graph, sample_shape));
  Plan plan;
  jit::Graph& graph = *model.graph;
  ImportContext context(&plan, std::move(recorded));
  jit::Value* input = graph.inputs()[1];
  if (!context.IsPlanValue(input)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "sample shape ", ShapeString(sample_shape), " has no elements"));
  }
  plan.inputs.push_back(context.Create(input));
  QS_ASSIGN_OR_RETURN(std::vector<jit::Value*> outputs, OutputValues(graph));
  for (jit::Value* v : outputs) {
    if (!context.IsPlanValue(v)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "model output \"", v->debugName(),
          "\" is not a float32 tensor whose first dimension is the batch and "
          "whose other dimensions are fixed"));
    }
  }
  if (model.functional) {
    for (jit::Node* node : graph.nodes()) ImportNode(node, &context);
  } else {
    QS_RETURN_IF_ERROR(ImportWhole(graph, outputs, &context));
  }
  for (jit::Value* v : outputs) {
    const auto id = context.Find(v);
    if (!id) {
      return absl::InternalError(absl::StrCat("model output \"", v->debugName(),
                                              "\" was not imported"));
    }
    plan.outputs.push_back(*id);
  }
  FuseClamps(&plan);
  RemoveUnread(&plan);
  QS_RETURN_IF_ERROR(plan.Validate());
  return plan;
}

}  // namespace

absl::StatusOr<Plan> ImportPlan(const FrozenModel& model,
                                const Shape& sample_shape) {
  return BehindWall(absl::StatusCode::kInternal, "model cannot be imported",
                    [&] { return Import(model, sample_shape); });
}

}  // namespace quantserve
