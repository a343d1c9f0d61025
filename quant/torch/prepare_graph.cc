#include "quant/torch/prepare_graph.h"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/torch/decompose.h"

namespace quantserve {
namespace {

namespace jit = torch::jit;

void CastIntegers(const std::vector<InputSpec>& inputs, jit::Graph* graph) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].integers) continue;
    jit::Value* v = graph->inputs()[i + 1];
    jit::WithInsertPoint guard(*graph->nodes().begin());
    jit::Value* cast = graph->insert(c10::aten::to, {v, c10::kLong});
    v->replaceAllUsesWith(cast);
    cast->node()->replaceInput(0, v);
  }
}

// What asks a tensor about anything but its numbers.
bool AsksForMetadata(const jit::Node* node) {
  static const auto* kNames = new std::set<std::string>{
      "aten::size",          "aten::dim",
      "aten::len",           "aten::is_floating_point",
      "aten::is_complex",    "aten::is_contiguous",
      "aten::is_nested",     "aten::numel",
      "aten::stride",        "prim::device",
      "prim::dtype",         "prim::is_cuda",
      "prim::is_quantized",  "prim::is_nested",
      "prim::is_mkldnn",     "prim::requires_grad",
      "aten::requires_grad", "prim::layout",
      "aten::__is__",        "aten::__isnot__"};
  return kNames->count(node->kind().toQualString()) > 0;
}

bool DependsOnData(const jit::Value* v, std::set<const jit::Value*>* seen) {
  if (!seen->insert(v).second) return false;
  const jit::Node* node = v->node();
  if (node->kind() == c10::prim::Constant || AsksForMetadata(node)) {
    return false;
  }
  if (node->kind() == c10::prim::Param || !node->blocks().empty() ||
      v->type()->kind() == c10::TypeKind::TensorType) {
    return true;
  }
  for (const jit::Value* input : node->inputs()) {
    if (DependsOnData(input, seen)) return true;
  }
  return false;
}

// Gives top-level branches that are always taken the same way a constant for a
// condition. Whether there were any.
bool DecideBranches(const RecordedValues& recorded, jit::Graph* graph) {
  bool decided = false;
  for (jit::Node* node : graph->nodes()) {
    if (node->kind() != c10::prim::If) continue;
    const jit::Value* condition = node->input(0);
    const auto value = recorded.find(condition);
    std::set<const jit::Value*> seen;
    if (condition->node()->kind() == c10::prim::Constant ||
        value == recorded.end() || !value->second.constant ||
        !value->second.scalar.isBool() || DependsOnData(condition, &seen)) {
      continue;
    }
    jit::WithInsertPoint guard(node);
    node->replaceInput(0, graph->insertConstant(value->second.scalar.toBool()));
    decided = true;
  }
  return decided;
}

}  // namespace

absl::StatusOr<RecordedValues> PrepareGraph(
    FrozenModel* model, const std::vector<InputSpec>& inputs) {
  if (inputs.size() + 1 != model->graph->inputs().size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("model takes ", model->graph->inputs().size() - 1,
                     " inputs, the samples have ", inputs.size()));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const c10::TypePtr& type = model->graph->inputs()[i + 1]->type();
    if (type->kind() == c10::TypeKind::TensorType) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "model's input ", i, " is of type ", type->str(), ", want a tensor"));
  }
  if (model->graph->inputs().size() < 2) {
    return absl::InvalidArgumentError("model takes no input, want a tensor");
  }
  CastIntegers(inputs, model->graph.get());
  FinishGraph(model);
  // Every round opens the branches inside those that the last one took.
  constexpr int kMaxRounds = 64;
  for (int round = 0;; ++round) {
    bool changed = DecomposeAttention(model->graph.get());
    if (changed) FinishGraph(model);
    QS_ASSIGN_OR_RETURN(RecordedValues recorded,
                        RecordValues(model->module, model->graph, inputs));
    if (round == kMaxRounds || !DecideBranches(recorded, model->graph.get())) {
      return recorded;
    }
    FinishGraph(model);
  }
}

}  // namespace quantserve
