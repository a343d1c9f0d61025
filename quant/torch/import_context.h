// What the operator importers in import_ops.cc see of an import in progress.
#pragma once

#include <torch/script.h>

#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "quant/plan/plan.h"
#include "quant/torch/record.h"

namespace quantserve {

// Not thread-safe.
class ImportContext {
 public:
  // Values in `inner` are not to be values of the plan. All must outlive it.
  ImportContext(Plan* plan, const RecordedValues& recorded,
                const std::set<const torch::jit::Value*>& inner)
      : plan_(*plan), recorded_(recorded), inner_(inner) {}

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
  // A list of any length; one number counts as a list of one.
  std::optional<Shape> AnyInts(const torch::jit::Node* node, size_t i) const;
  bool IsNone(const torch::jit::Node* node, size_t i) const;
  std::optional<at::Tensor> Constant(const torch::jit::Node* node,
                                     size_t i) const;

  // Multiply-accumulates of one sample in convolutions and matrix products
  // among `nodes`.
  int64_t MacsOf(const std::vector<const torch::jit::Node*>& nodes) const;

  // An island reads and writes these.
  void MarkIsland(const std::vector<torch::jit::Value*>& outputs,
                  const std::vector<torch::jit::Value*>& inputs);
  // Whether islands write and read `v`.
  bool BetweenIslands(const torch::jit::Value* v) const {
    return island_outputs_.count(v) > 0 && island_inputs_.count(v) > 0;
  }

  // Whether nobody but `reader` needs the numbers of the plan's value `id`:
  // sizes and types that are asked of it do not count.
  bool SoleReader(ValueId id, const torch::jit::Node* reader) const;

  Plan& plan() { return plan_; }
  // Appends a node of `kind` from plan values to the plan value of `output`.
  Node& Append(OpKind kind, std::vector<ValueId> inputs,
               const torch::jit::Value* output, Attrs attrs = {});

  // An unnamed value on the way to an output.
  ValueId AppendInner(OpKind kind, ValueId input, const std::string& name,
                      Shape shape, Attrs attrs = {});

 private:
  c10::optional<c10::IValue> Scalar(const torch::jit::Node* node,
                                    size_t i) const;

  Plan& plan_;
  const RecordedValues& recorded_;
  const std::set<const torch::jit::Value*>& inner_;
  std::unordered_map<const torch::jit::Value*, ValueId> ids_;
  std::set<const torch::jit::Value*> island_inputs_, island_outputs_;
};

// Imports the outputs of a list that is unpacked (chunk, split, unbind) as
// slices; false, and nothing changed, if `node` is not that.
bool ImportUnpack(const torch::jit::Node* node,
                  const std::vector<torch::jit::Value*>& outputs,
                  ImportContext* context);

// Imports one operator as a plan node of its kind. False: it is not one that
// plans know (or not in this form), and nothing was changed.
bool ImportOperator(const torch::jit::Node* node, ImportContext* context);

// The name under which an elementwise function of one tensor goes in plans
// ("silu"), or null if `node` is not one.
const char* UnaryFunction(const torch::jit::Node* node);

// Copies a dense CPU tensor.
Tensor ToTensor(const at::Tensor& tensor);
std::vector<float> ToVector(const at::Tensor& tensor);

}  // namespace quantserve
