#include "quant/torch/load.h"

#include <sys/stat.h>
#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/passes/lower_tuples.h>
#include <torch/csrc/jit/passes/peephole.h>
#include <torch/csrc/jit/passes/remove_mutation.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <set>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "quant/base/memory.h"
#include "quant/base/status_macros.h"
#include "quant/torch/layer_names.h"
#include "quant/torch/wall.h"

namespace quantserve {
namespace {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

absl::Status CheckFile(const std::string& path, int64_t max_bytes) {
  struct stat info {};
  const auto unreadable = [&path](int error) {
    return absl::PermissionDeniedError(absl::StrCat(
        "model \"", path,
        "\" can't be read: ", std::generic_category().message(error)));
  };
  if (stat(path.c_str(), &info) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) return unreadable(errno);
    return absl::NotFoundError(
        absl::StrCat("model \"", path, "\" does not exist"));
  }
  const auto invalid = [&path](absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("model \"", path, "\" ", what));
  };
  if (!S_ISREG(info.st_mode)) return invalid("is not a regular file");
  if (info.st_size == 0) return invalid("is empty, want a TorchScript file");
  if (info.st_size > max_bytes) {
    return invalid(
        absl::StrCat("has ", info.st_size, " bytes, the limit is ", max_bytes));
  }
  // The file's weights, and the plan's copy of them.
  const absl::StatusOr<int64_t> available = AvailableMemoryBytes();
  if (available.ok() && info.st_size > *available / 2) {
    return absl::ResourceExhaustedError(
        absl::StrCat("model \"", path, "\" has ", info.st_size,
                     " bytes and needs twice as much memory to load, ",
                     *available, " bytes are available"));
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) return unreadable(errno);
  char magic[4] = {};
  if (!in.read(magic, sizeof magic) ||
      std::string(magic, 4) != std::string("PK\x03\x04", 4)) {
    return invalid(
        "is not a TorchScript file (want a zip archive as "
        "torch.jit.save writes it)");
  }
  return absl::OkStatus();
}

void StripCallStack(Graph& graph, Node* node);

// LibTorch 1.13 keeps raw pointers to inlined functions in the nodes' call
// stacks, and freezing deletes the helper methods among them: the first error
// that is thrown while such a graph runs would read freed memory.
void StripCallStacks(Graph& graph, Block* block) {
  const std::vector<Node*> nodes(block->nodes().begin(), block->nodes().end());
  for (Node* node : nodes) StripCallStack(graph, node);
}

bool Mutates(Block* block) {
  for (Node* node : block->nodes()) {
    if (const auto* schema = node->maybeSchema()) {
      if (schema->is_mutable()) return true;
    }
    for (Block* inner : node->blocks()) {
      if (Mutates(inner)) return true;
    }
  }
  return false;
}

// Replaces `node` by a twin without an inlined call stack.
void StripCallStack(Graph& graph, Node* node) {
  Node* twin =
      graph.create(node->kind(), node->inputs(), node->outputs().size());
  twin->copyAttributes(*node);
  twin->setSourceRange(node->sourceRange());
  for (Block* block : node->blocks()) {
    twin->addBlock()->cloneFrom(block, [](Value* v) { return v; });
  }
  twin->insertBefore(node);
  std::vector<std::string> names;
  for (size_t i = 0; i < node->outputs().size(); ++i) {
    Value* old = node->outputs()[i];
    names.push_back(old->hasDebugName() ? old->debugName() : "");
    twin->outputs()[i]->setType(old->type());
    old->replaceAllUsesWith(twin->outputs()[i]);
  }
  node->destroy();
  for (size_t i = 0; i < names.size(); ++i) {
    if (!names[i].empty()) twin->outputs()[i]->setDebugName(names[i]);
  }
  for (Block* block : twin->blocks()) StripCallStacks(graph, block);
}

// Whether `list` grows, and nothing but appends at the top level could change
// or keep it.
bool OnlyAppendedTo(const Graph& graph, const Value* list) {
  static const auto* kReads = new std::set<std::string>{
      "aten::cat", "aten::stack", "aten::len", "aten::__getitem__"};
  bool grows = false;
  for (const auto& use : list->uses()) {
    if (use.user->owningBlock() != graph.block()) return false;
    const std::string kind = use.user->kind().toQualString();
    const bool appended = kind == "aten::append" && use.offset == 0 &&
                          !use.user->output()->hasUses();
    if (!appended && kReads->count(kind) == 0) return false;
    grows = grows || appended;
  }
  return grows;
}

// A list that grows between its readers (DenseNet's features): every reader
// gets a list of its own that holds what was there at its time. LibTorch's
// RemoveListMutation gives up where a list has been read before it grows.
void ReplaceAppends(Graph& graph) {
  std::vector<Node*> lists;
  for (Node* node : graph.nodes()) {
    if (node->kind() == c10::prim::ListConstruct) lists.push_back(node);
  }
  for (Node* node : lists) {
    if (!OnlyAppendedTo(graph, node->output())) continue;
    std::vector<Node*> users;
    for (const auto& use : node->output()->uses()) users.push_back(use.user);
    std::sort(users.begin(), users.end(),
              [](Node* a, Node* b) { return a->isBefore(b); });
    users.erase(std::unique(users.begin(), users.end()), users.end());
    std::vector<Value*> elements(node->inputs().begin(), node->inputs().end());
    const c10::TypePtr element =
        node->output()->type()->expect<c10::ListType>()->getElementType();
    for (Node* user : users) {
      if (user->kind() == c10::aten::append) {
        elements.push_back(user->input(1));
        user->destroy();
        continue;
      }
      Node* copy = graph.createList(element, elements);
      copy->insertBefore(user);
      user->replaceInputWith(node->output(), copy->output());
    }
  }
}

// Names link a value to its copy in Graph::copy(), which keeps explicit names
// only.
void NameValues(Graph& graph) {
  int next = 0;
  const auto name = [&next](Value* v) {
    // A name that is taken gets a suffix from LibTorch.
    if (!v->hasDebugName()) v->setDebugName(absl::StrCat("v", next++));
  };
  for (Value* v : graph.inputs()) name(v);
  for (Node* node : graph.nodes()) {
    for (Value* v : node->outputs()) name(v);
  }
}

}  // namespace

absl::StatusOr<torch::jit::Module> LoadModule(
    const std::string& path, int64_t max_bytes,
    std::map<std::string, std::string>* extra_files) {
  QS_RETURN_IF_ERROR(CheckFile(path, max_bytes));
  const std::string what =
      absl::StrCat("model \"", path, "\" is not a TorchScript file that loads");
  const auto loaded = BehindWall(
      absl::StatusCode::kInvalidArgument, what,
      [&]() -> absl::StatusOr<torch::jit::Module> {
        torch::jit::ExtraFilesMap extra(extra_files->begin(),
                                        extra_files->end());
        torch::jit::Module module = torch::jit::load(path, torch::kCPU, extra);
        extra_files->clear();
        extra_files->insert(extra.begin(), extra.end());
        module.eval();
        return module;
      });
  // The commonest mistake, and LibTorch's words for it help nobody.
  if (absl::StrContains(loaded.status().message(), "constants.pkl")) {
    return absl::InvalidArgumentError(
        absl::StrCat("model \"", path,
                     "\" is what torch.save writes, weights without code, want "
                     "what torch.jit.trace(model, example).save(path) writes"));
  }
  return loaded;
}

torch::jit::Module Frozen(const torch::jit::Module& module) {
  // A module that was frozen before has lost its "training" attribute, and 1.x
  // refuses to freeze it again.
  if (!module.hasattr("training")) return module;
  torch::jit::Module frozen = torch::jit::freeze(module);
  const std::shared_ptr<Graph> graph = frozen.get_method("forward").graph();
  StripCallStacks(*graph, graph->block());
  return frozen;
}

void FinishGraph(FrozenModel* model) {
  torch::jit::RemoveTensorMutation(model->graph);
  torch::jit::RemoveListMutation(model->graph);
  ReplaceAppends(*model->graph);
  torch::jit::LowerSimpleTuples(model->graph);
  torch::jit::ConstantPropagation(model->graph);
  torch::jit::PeepholeOptimize(model->graph);
  torch::jit::EliminateDeadCode(model->graph);
  NameByModules(model->graph.get());
  // The passes above rebuild nodes, call stacks included.
  StripCallStacks(*model->graph, model->graph->block());
  NameValues(*model->graph);
  model->functional = !Mutates(model->graph->block());
}

absl::StatusOr<FrozenModel> FreezeModel(const torch::jit::Module& module) {
  return BehindWall(
      absl::StatusCode::kInvalidArgument, "model cannot be frozen",
      [&]() -> absl::StatusOr<FrozenModel> {
        if (!module.find_method("forward")) {
          return absl::InvalidArgumentError("model has no forward()");
        }
        FrozenModel frozen;
        // A module that was frozen before has no "training" and freezes again
        // without harm; freeze() insists on the attribute only in 1.x.
        frozen.module = module.hasattr("training") ? torch::jit::freeze(module)
                                                   : module.clone();
        frozen.graph = frozen.module.get_method("forward").graph()->copy();
        torch::jit::Inline(*frozen.graph);
        FinishGraph(&frozen);
        return frozen;
      });
}

}  // namespace quantserve
