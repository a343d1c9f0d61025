#include "quant/torch/import_context.h"

#include <torch/csrc/jit/ir/constants.h>

#include <cstring>
#include <string>

namespace quantserve {

bool ImportContext::IsPlanValue(const torch::jit::Value* v) const {
  const auto it = recorded_.find(v);
  return it != recorded_.end() && it->second.batched &&
         v->node()->kind() != c10::prim::Constant && inner_.count(v) == 0;
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

std::optional<Shape> ImportContext::AnyInts(const torch::jit::Node* node,
                                            size_t i) const {
  const auto value = Scalar(node, i);
  if (value && value->isInt()) return Shape{value->toInt()};
  if (value && value->isIntList()) return value->toIntVector();
  return std::nullopt;
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

ValueId ImportContext::AppendInner(OpKind kind, ValueId input,
                                   const std::string& name, Shape shape,
                                   Attrs attrs) {
  Node node;
  node.kind = kind;
  node.name = name;
  node.inputs = {input};
  node.outputs = {plan_.AddValue(name, std::move(shape))};
  node.attrs = std::move(attrs);
  plan_.nodes.push_back(std::move(node));
  return plan_.nodes.back().outputs[0];
}

void ImportContext::MarkIsland(const std::vector<torch::jit::Value*>& outputs,
                               const std::vector<torch::jit::Value*>& inputs) {
  island_outputs_.insert(outputs.begin(), outputs.end());
  island_inputs_.insert(inputs.begin(), inputs.end());
}

bool ImportContext::SoleReader(ValueId id,
                               const torch::jit::Node* reader) const {
  for (const auto& [value, known] : ids_) {
    if (known != id) continue;
    for (const auto& use : value->uses()) {
      if (use.user == reader) continue;
      // Sizes and types are no plan values; what is read under another name is
      // looked at under that.
      bool reads = use.user->kind() == c10::prim::Return;
      for (const torch::jit::Value* output : use.user->outputs()) {
        const auto renamed = ids_.find(output);
        const bool alias = renamed != ids_.end() && renamed->second == id;
        const auto type = output->type()->kind();
        reads = reads || (!alias && (type == c10::TypeKind::TensorType ||
                                     type == c10::TypeKind::ListType ||
                                     type == c10::TypeKind::TupleType));
      }
      if (!reads) continue;
      if (reader != nullptr) return false;
      reader = use.user;  // the one that is allowed
    }
  }
  return true;
}

int64_t ImportContext::MacsOf(
    const std::vector<const torch::jit::Node*>& nodes) const {
  const auto shape = [this](const torch::jit::Value* v) -> Shape {
    if (const auto constant = torch::jit::toIValue(v)) {
      if (constant->isTensor()) return constant->toTensor().sizes().vec();
    }
    const auto it = recorded_.find(v);
    if (it == recorded_.end()) return {};
    return it->second.batched ? it->second.shape : it->second.two;
  };
  const auto product = [](const Shape& s) {
    int64_t n = 1;
    for (int64_t d : s) n *= d;
    return n;
  };
  int64_t macs = 0;
  for (const torch::jit::Node* node : nodes) {
    const std::string kind = node->kind().toQualString();
    if (node->outputs().size() != 1) continue;
    const int64_t out = product(shape(node->outputs()[0]));
    if (kind == "aten::matmul" || kind == "aten::bmm" || kind == "aten::mm" ||
        kind == "aten::linear") {
      const Shape a = shape(node->input(0));
      if (!a.empty()) macs += out * a.back();
    } else if (kind == "aten::addmm" || kind == "aten::baddbmm") {
      const Shape a = shape(node->input(1));
      if (!a.empty()) macs += out * a.back();
    } else if (kind.find("conv") != std::string::npos &&
               node->inputs().size() > 1) {
      const Shape w = shape(node->input(1));
      if (w.size() < 3) continue;
      // A transposed convolution's weights meet every input instead.
      const bool transposed =
          kind.find("transpose") != std::string::npos ||
          (node->inputs().size() > 6 && Bool(node, 6).value_or(false));
      const int64_t positions =
          transposed ? product(shape(node->input(0))) : out;
      macs += positions * (product(w) / w[0]);
    }
  }
  return macs;
}

std::vector<float> ToVector(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(torch::kFloat32).contiguous();
  const float* data = flat.data_ptr<float>();
  return {data, data + flat.numel()};
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
