#include "quant/torch/operator_walk.h"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/inliner.h>

#include <unordered_map>

namespace quantserve {

namespace jit = torch::jit;

OperatorWalk::OperatorWalk(const jit::Module& module)
    : module_(module), graph_(module_.get_method("forward").graph()->copy()) {
  jit::Inline(*graph_);
  std::unordered_map<const jit::Value*, int> index;
  const auto assign = [&](const jit::Value* v) {
    return index[v] = registers_++;
  };
  for (const jit::Value* v : graph_->inputs()) assign(v);
  // Attribute reads are resolved here: in Python, too, they are no operators.
  std::unordered_map<const jit::Value*, c10::IValue> known;
  known[graph_->inputs()[0]] = module_._ivalue();
  for (jit::Node* node : graph_->nodes()) {
    const bool container = node->kind() == c10::prim::ListConstruct ||
                           node->kind() == c10::prim::TupleConstruct;
    if (node->kind() == c10::prim::Constant) {
      known[node->output()] = *jit::toIValue(node->output());
    } else if (node->kind() == c10::prim::GetAttr &&
               known.count(node->input()) != 0) {
      known[node->output()] = known.at(node->input())
                                  .toObjectRef()
                                  .getAttr(node->s(c10::attr::name));
    } else if (!node->blocks().empty() ||
               (!container && !node->maybeOperator())) {
      executor_ = std::make_unique<jit::GraphExecutor>(
          graph_, "walk", jit::ExecutorExecutionMode::SIMPLE);
      return;
    } else {
      Step step{node, c10::nullopt, {}, {}};
      if (!container) step.operation = node->getOperation();
      for (const jit::Value* v : node->inputs()) {
        const auto it = index.find(v);
        step.inputs.push_back(it != index.end() ? it->second : assign(v));
      }
      for (const jit::Value* v : node->outputs()) {
        step.outputs.push_back(assign(v));
      }
      steps_.push_back(std::move(step));
      continue;
    }
    const int slot = assign(node->output());
    constants_.emplace_back(slot, known.at(node->output()));
  }
  Step result{graph_->return_node(), c10::nullopt, {}, {}};
  for (const jit::Value* v : graph_->outputs()) {
    result.inputs.push_back(index.at(v));
  }
  steps_.push_back(std::move(result));
}

c10::IValue OperatorWalk::Run(const std::vector<at::Tensor>& inputs) const {
  if (executor_) {
    jit::Stack stack{module_._ivalue()};
    stack.insert(stack.end(), inputs.begin(), inputs.end());
    executor_->run(stack);
    return stack.at(0);
  }
  std::vector<c10::IValue> registers(registers_);
  for (const auto& [slot, value] : constants_) registers[slot] = value;
  std::copy(inputs.begin(), inputs.end(), registers.begin() + 1);
  jit::Stack stack;
  for (const Step& step : steps_) {
    stack.clear();
    for (int slot : step.inputs) stack.push_back(registers[slot]);
    if (step.operation) {
      (*step.operation)(stack);
    } else if (step.node->kind() == c10::prim::ListConstruct) {
      const c10::TypePtr element = step.node->output()
                                       ->type()
                                       ->expect<c10::ListType>()
                                       ->getElementType();
      c10::impl::GenericList list(element);
      for (c10::IValue& value : stack) list.push_back(std::move(value));
      stack = {list};
    } else if (step.node->kind() == c10::prim::TupleConstruct) {
      stack = {c10::ivalue::Tuple::create(std::move(stack))};
    } else {
      return stack.at(0);  // the graph's return
    }
    for (size_t i = 0; i < step.outputs.size(); ++i) {
      registers[step.outputs[i]] = std::move(stack[i]);
    }
  }
  return {};
}

}  // namespace quantserve
