#include "quant/torch/import_context.h"

#include <torch/csrc/jit/ir/constants.h>

#include <cstring>

namespace quantserve {

bool ImportContext::IsPlanValue(const torch::jit::Value* v) const {
  const auto it = recorded_.find(v);
  return it != recorded_.end() && it->second.batched &&
         v->node()->kind() != c10::prim::Constant;
}

const Shape& ImportContext::ShapeOf(const torch::jit::Value* v) const {
  return recorded_.at(v).shape;
}

std::optional<ValueId> ImportContext::Find(const torch::jit::Value* v) const {
  const auto it = ids_.find(v);
  if (it == ids_.end()) return std::nullopt;
  return it->second;
}

ValueId ImportContext::Create(const torch::jit::Value* v) {
  const ValueId id = plan_.AddValue(v->debugName(), ShapeOf(v));
  ids_[v] = id;
  return id;
}

c10::optional<c10::IValue> ImportContext::Scalar(const torch::jit::Node* node,
                                                 size_t i) const {
  if (i >= node->inputs().size()) return c10::nullopt;
  const torch::jit::Value* v = node->input(i);
  if (auto constant = torch::jit::toIValue(v)) return constant;
  const auto it = recorded_.find(v);
  if (it == recorded_.end() || !it->second.constant) return c10::nullopt;
  return it->second.scalar;
}

std::optional<int64_t> ImportContext::Int(const torch::jit::Node* node,
                                          size_t i) const {
  const auto value = Scalar(node, i);
  if (!value || !value->isInt()) return std::nullopt;
  return value->toInt();
}

std::optional<double> ImportContext::Number(const torch::jit::Node* node,
                                            size_t i) const {
  const auto value = Scalar(node, i);
  if (!value) return std::nullopt;
  if (value->isDouble()) return value->toDouble();
  if (value->isInt()) return static_cast<double>(value->toInt());
  return std::nullopt;
}

std::optional<bool> ImportContext::Bool(const torch::jit::Node* node,
                                        size_t i) const {
  const auto value = Scalar(node, i);
  if (!value || !value->isBool()) return std::nullopt;
  return value->toBool();
}

std::optional<Shape> ImportContext::Ints(const torch::jit::Node* node, size_t i,
                                         size_t length) const {
  const auto value = Scalar(node, i);
  if (!value) return std::nullopt;
  if (value->isInt()) return Shape(length, value->toInt());
  if (!value->isIntList()) return std::nullopt;
  Shape list = value->toIntVector();
  if (list.size() == 1) list.resize(length, list[0]);
  if (list.size() != length) return std::nullopt;
  return list;
}

bool ImportContext::IsNone(const torch::jit::Node* node, size_t i) const {
  const auto value = Scalar(node, i);
  return value && value->isNone();
}

std::optional<at::Tensor> ImportContext::Constant(const torch::jit::Node* node,
                                                  size_t i) const {
  if (i >= node->inputs().size()) return std::nullopt;
  const auto value = torch::jit::toIValue(node->input(i));
  if (!value || !value->isTensor()) return std::nullopt;
  const at::Tensor tensor = value->toTensor();
  if (!tensor.defined() || tensor.is_mkldnn() || tensor.is_quantized() ||
      tensor.scalar_type() != torch::kFloat32) {
    return std::nullopt;
  }
  return tensor.contiguous();
}

Node& ImportContext::Append(OpKind kind, std::vector<ValueId> inputs,
                            const torch::jit::Value* output, Attrs attrs) {
  Node node;
  node.kind = kind;
  node.name = output->debugName();
  node.inputs = std::move(inputs);
  node.outputs = {Create(output)};
  node.attrs = std::move(attrs);
  plan_.nodes.push_back(std::move(node));
  return plan_.nodes.back();
}

Tensor ToTensor(const at::Tensor& tensor) {
  const at::Tensor dense = tensor.to(torch::kFloat32).contiguous();
  Tensor copy(DType::kF32, dense.sizes().vec());
  if (copy.bytes() > 0) {
    std::memcpy(copy.data<float>(), dense.data_ptr<float>(), copy.bytes());
  }
  return copy;
}

}  // namespace quantserve
