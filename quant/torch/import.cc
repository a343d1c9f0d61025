#include "quant/torch/import.h"

#include <torch/csrc/jit/ir/constants.h>

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "quant/base/status_macros.h"
#include "quant/plan/fuse.h"
#include "quant/torch/import_context.h"
#include "quant/torch/import_ops.h"
#include "quant/torch/island.h"
#include "quant/torch/prepare_graph.h"
#include "quant/torch/wall.h"

namespace quantserve {
namespace {

namespace jit = torch::jit;

using InnerValues = std::set<const jit::Value*>;

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

// What reports call an island: the operators in it that compute, in order.
std::string IslandName(const jit::Graph& graph) {
  constexpr size_t kMaxNames = 4;
  static const auto* kPlumbing = new std::set<std::string>{
      "aten::to",      "aten::contiguous", "aten::permute", "aten::transpose",
      "aten::reshape", "aten::view",       "aten::expand",  "aten::slice"};
  std::vector<std::string> names;
  size_t more = 0;
  for (const jit::Node* node : graph.nodes()) {
    const std::string name = node->kind().toQualString();
    const bool tensor =
        node->outputs().size() > 0 &&
        node->outputs()[0]->type()->kind() == c10::TypeKind::TensorType;
    const bool computes = node->kind().is_aten() || !node->blocks().empty();
    if (!tensor || !computes || kPlumbing->count(name) > 0) continue;
    if (names.size() < kMaxNames) {
      names.push_back(name);
    } else {
      ++more;
    }
  }
  if (names.empty()) return "data movement";
  if (more > 0) names.push_back(absl::StrCat(more, " more"));
  return absl::StrJoin(names, "+");
}

void AppendIsland(const jit::Node* node, std::vector<jit::Value*> outputs,
                  ImportContext* context) {
  std::vector<jit::Value*> inputs;
  const auto boundary = [context](jit::Value* v) {
    return context->Find(v).has_value();
  };
  std::vector<const jit::Node*> computed;
  auto island = BuildIsland(IslandName, outputs, boundary, &inputs, &computed);
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
    plan_node.attrs = IslandAttrs{island, context->MacsOf(computed)};
    context->MarkIsland(outputs, inputs);
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
  if (ImportUnpack(node, outputs, context)) return;
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

// Model outputs: a tensor, or a tuple or list of tensors. What is None (an
// auxiliary classifier that is there in training only) is no output.
absl::StatusOr<std::vector<jit::Value*>> OutputValues(jit::Graph& graph) {
  std::vector<jit::Value*> outputs;
  const auto add = [&outputs](jit::Value* v) {
    const auto constant = jit::toIValue(v);
    if (!constant || !constant->isNone()) outputs.push_back(v);
  };
  for (jit::Value* v : graph.outputs()) {
    if (v->node()->kind() == c10::prim::TupleConstruct ||
        v->node()->kind() == c10::prim::ListConstruct) {
      for (jit::Value* element : v->node()->inputs()) add(element);
    } else {
      add(v);
    }
  }
  if (outputs.empty()) {
    return absl::InvalidArgumentError(
        "model returns nothing, want a tensor or a tuple of tensors");
  }
  return outputs;
}

// Values that only one island reads and another writes.
void FindInner(const jit::Graph& graph, const ImportContext& context,
               InnerValues* inner) {
  for (const jit::Node* node : graph.nodes()) {
    if (node->outputs().size() != 1) continue;
    const jit::Value* v = node->outputs()[0];
    if (context.BetweenIslands(v) && v->uses().size() == 1 &&
        v->uses()[0].user->kind() != c10::prim::Return &&
        v->uses()[0].user->kind() != c10::prim::TupleConstruct) {
      inner->insert(v);
    }
  }
}

// The plan of the graph as it is. Islands that only another island reads are
// made part of that: `inner` names such values, and learns of more.
absl::StatusOr<Plan> ImportGraph(const FrozenModel& model,
                                 const std::vector<InputSpec>& specs,
                                 const RecordedValues& recorded,
                                 std::set<const jit::Value*>* inner) {
  Plan plan;
  jit::Graph& graph = *model.graph;
  ImportContext context(&plan, recorded, *inner);
  for (size_t i = 0; i < specs.size(); ++i) {
    jit::Value* input = graph.inputs()[i + 1];
    if (!context.IsPlanValue(input)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "sample shape ", ShapeString(specs[i].shape), " has no elements"));
    }
    const ValueId id = context.Create(input);
    plan.values[id].integers = specs[i].integers;
    plan.inputs.push_back(id);
  }
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
  FindInner(graph, context, inner);
  SinkReshapes(&plan);
  FuseClamps(&plan);
  RemoveUnread(&plan);
  QS_RETURN_IF_ERROR(plan.Validate());
  return plan;
}

absl::StatusOr<Plan> Import(FrozenModel* model,
                            const std::vector<InputSpec>& specs) {
  QS_ASSIGN_OR_RETURN(const RecordedValues recorded,
                      PrepareGraph(model, specs));
  std::set<const jit::Value*> inner;
  // A chain of islands grows by one at a time.
  constexpr int kMaxRounds = 16;
  for (int round = 0;; ++round) {
    const size_t known = inner.size();
    QS_ASSIGN_OR_RETURN(Plan plan,
                        ImportGraph(*model, specs, recorded, &inner));
    if (inner.size() == known || round == kMaxRounds) return plan;
  }
}

}  // namespace

absl::StatusOr<Plan> ImportPlan(FrozenModel* model,
                                const std::vector<InputSpec>& inputs) {
  return BehindWall(absl::StatusCode::kInternal, "model cannot be imported",
                    [&] { return Import(model, inputs); });
}

}  // namespace quantserve
