#include "quant/torch/layer_names.h"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace quantserve {
namespace {

using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;

// "layer1.0.conv1", as state_dict() has it; "" outside of every submodule.
std::string ModulePath(const Node* node) {
  std::string path;
  if (!node->callstack()) return path;
  for (const auto& call : (*node->callstack())->vec()) {
    // The functions in it may be gone, the modules' names are copies.
    const auto& module = std::get<2>(call);
    if (!module) continue;
    const std::string name = module->instance_name();
    if (name.empty() || name == "SELF" || name == "INSTANCE_NAME_UNKNOWN") {
      continue;
    }
    absl::StrAppend(&path, path.empty() ? "" : ".", name);
  }
  return path;
}

// "relu" of aten::relu_, "convolution" of aten::_convolution.
std::string OperatorName(const Node* node) {
  absl::string_view name = node->kind().toUnqualString();
  while (absl::ConsumePrefix(&name, "_")) {
  }
  while (absl::ConsumeSuffix(&name, "_")) {
  }
  return std::string(name);
}

struct Walk {
  std::vector<std::pair<Value*, std::string>> tensors;     // with their paths
  std::map<std::string, std::set<std::string>> operators;  // of each path
  std::set<std::string> containers;  // paths with others below them
  std::set<std::string> used;

  void Visit(Block* block) {
    for (Value* v : block->inputs()) used.insert(v->debugName());
    for (Node* node : block->nodes()) {
      for (Value* v : node->outputs()) used.insert(v->debugName());
      for (Block* inner : node->blocks()) Visit(inner);
      if (!node->kind().is_aten() || node->outputs().size() != 1 ||
          node->output()->type()->kind() != c10::TypeKind::TensorType) {
        continue;
      }
      std::string path = ModulePath(node);
      if (path.empty()) continue;
      operators[path].insert(OperatorName(node));
      for (size_t dot = path.find('.'); dot != std::string::npos;
           dot = path.find('.', dot + 1)) {
        containers.insert(path.substr(0, dot));
      }
      tensors.emplace_back(node->output(), std::move(path));
    }
  }
};

bool IsNumber(const std::string& name) {
  return name.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

void NameByModules(torch::jit::Graph* graph) {
  Walk walk;
  walk.Visit(graph->block());
  for (auto& [value, path] : walk.tensors) {
    std::string name = path;
    // LibTorch takes no number for a name.
    if (walk.operators[path].size() > 1 || walk.containers.count(path) > 0 ||
        IsNumber(path)) {
      absl::StrAppend(&name, ".", OperatorName(value->node()));
    }
    std::string free = name;
    for (int i = 2; !walk.used.insert(free).second; ++i) {
      free = absl::StrCat(name, "#", i);
    }
    value->setDebugName(free);
  }
}

}  // namespace quantserve
