// What the operator importers in import_ops.cc see of an import in progress.
#pragma once

#include <torch/script.h>

#include <optional>
#include <unordered_map>
#include <vector>

#include "quant/plan/plan.h"
#include "quant/torch/record.h"

namespace quantserve {

// Not thread-safe.
class ImportContext {
 public:
  ImportContext(Plan* plan, RecordedValues recorded)
      : plan_(*plan), recorded_(std::move(recorded)) {}

  // Whether `v` can be a value of the plan.
  bool IsPlanValue(const torch::jit::Value* v) const;
  const Shape& ShapeOf(const torch::jit::Value* v) const;

  // The plan's value for `v`, or nullopt if `v` is not one (yet).
  std::optional<ValueId> Find(const torch::jit::Value* v) const;
  // Creates the plan's value for `v`.
  ValueId Create(const torch::jit::Value* v);
  // From here on `v` is the same value as `id`.
  void Alias(const torch::jit::Value* v, ValueId id) { ids_[v] = id; }

  // The node's input `i` as a constant, or nullopt where it is none. A tensor
  // is given back as a contiguous FP32 tensor.
  std::optional<int64_t> Int(const torch::jit::Node* node, size_t i) const;
  std::optional<double> Number(const torch::jit::Node* node, size_t i) const;
  std::optional<bool> Bool(const torch::jit::Node* node, size_t i) const;
  // One number counts as a list of `length` copies.
  std::optional<Shape> Ints(const torch::jit::Node* node, size_t i,
                            size_t length) const;
  bool IsNone(const torch::jit::Node* node, size_t i) const;
  std::optional<at::Tensor> Constant(const torch::jit::Node* node,
                                     size_t i) const;

  Plan& plan() { return plan_; }
  // Appends a node of `kind` from plan values to the plan value of `output`.
  Node& Append(OpKind kind, std::vector<ValueId> inputs,
               const torch::jit::Value* output, Attrs attrs = {});

 private:
  c10::optional<c10::IValue> Scalar(const torch::jit::Node* node,
                                    size_t i) const;

  Plan& plan_;
  const RecordedValues recorded_;
  std::unordered_map<const torch::jit::Value*, ValueId> ids_;
};

// Imports one operator as a plan node of its kind. False: it is not one that
// plans know (or not in this form), and nothing was changed.
bool ImportOperator(const torch::jit::Node* node, ImportContext* context);

// The name under which an elementwise function of one tensor goes in plans
// ("silu"), or null if `node` is not one.
const char* UnaryFunction(const torch::jit::Node* node);

// Copies a dense CPU tensor.
Tensor ToTensor(const at::Tensor& tensor);

}  // namespace quantserve
