// Which operator is imported by whom, and the small importers: clamps, sums.
#include "quant/torch/import_ops.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_map>

namespace quantserve {
namespace {

namespace jit = torch::jit;
using Importer = bool (*)(const jit::Node*, ImportContext*);

const jit::Value* Output(const jit::Node* node) { return node->outputs()[0]; }

bool AppendClamp(const jit::Node* node, float lo, float hi,
                 ImportContext* context) {
  const auto input = context->Find(node->input(0));
  // A plan's clamps keep zero where it is: quantized values need that.
  if (!input || lo > hi || std::isnan(lo) || std::isnan(hi)) return false;
  context->Append(OpKind::kClamp, {*input}, Output(node)).clamp = Clamp{lo, hi};
  return true;
}

bool Relu(const jit::Node* node, ImportContext* context) {
  return AppendClamp(node, 0, std::numeric_limits<float>::infinity(), context);
}

bool Relu6(const jit::Node* node, ImportContext* context) {
  return AppendClamp(node, 0, 6, context);
}

// aten::hardtanh(x, lo, hi) and aten::clamp(x, lo, hi); None: no bound.
bool ClampTo(const jit::Node* node, ImportContext* context) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto lo = context->Number(node, 1);
  const auto hi = context->Number(node, 2);
  if ((!lo && !context->IsNone(node, 1)) || (!hi && !context->IsNone(node, 2)))
    return false;
  return AppendClamp(node, lo ? static_cast<float>(*lo) : -kInfinity,
                     hi ? static_cast<float>(*hi) : kInfinity, context);
}

bool Binary(const jit::Node* node, OpKind kind, ImportContext* context) {
  auto a = context->Find(node->input(0));
  auto b = context->Find(node->input(1));
  if (!a || !b) return false;
  const auto scalar_per_channel = [](const Shape& s) {
    return s.size() == 4 && s[2] == 1 && s[3] == 1;
  };
  const Shape& out = context->ShapeOf(Output(node));
  Shape sa = context->ShapeOf(node->input(0));
  Shape sb = context->ShapeOf(node->input(1));
  if (sa != out) {
    std::swap(a, b);
    std::swap(sa, sb);
  }
  if (sa != out) return false;
  if (sb != out &&
      !(scalar_per_channel(sb) && sa.size() == 4 && sa[1] == sb[1])) {
    return false;
  }
  context->Append(kind, {*a, *b}, Output(node));
  return true;
}

// aten::add(x, y, alpha)
bool Add(const jit::Node* node, ImportContext* context) {
  if (context->Number(node, 2) != 1.0) return false;
  return Binary(node, OpKind::kAdd, context) ||
         ImportAffine(node, {Affine::kAdd, 0, 1}, context) ||
         ImportAffine(node, {Affine::kAdd, 1, 0}, context);
}

// aten::sub(x, y, alpha)
bool Sub(const jit::Node* node, ImportContext* context) {
  if (context->Number(node, 2) != 1.0) return false;
  return ImportAffine(node, {Affine::kSubtract, 0, 1}, context);
}

bool Mul(const jit::Node* node, ImportContext* context) {
  return Binary(node, OpKind::kMul, context) ||
         ImportAffine(node, {Affine::kMultiply, 0, 1}, context) ||
         ImportAffine(node, {Affine::kMultiply, 1, 0}, context);
}

// aten::div(x, y)
bool Div(const jit::Node* node, ImportContext* context) {
  return node->inputs().size() == 2 &&
         ImportAffine(node, {Affine::kDivide, 0, 1}, context);
}
const std::unordered_map<std::string, Importer>& Importers() {
  static const auto* importers = new std::unordered_map<std::string, Importer>{
      {"aten::_convolution", ImportConvolution},
      {"aten::__getitem__", ImportGetItem},
      {"aten::adaptive_avg_pool1d", ImportAdaptiveAvgPool},
      {"aten::adaptive_avg_pool2d", ImportAdaptiveAvgPool},
      {"aten::add", Add},
      {"aten::add_", Add},
      {"aten::addmm", ImportAddmm},
      {"aten::avg_pool1d", ImportAvgPool},
      {"aten::avg_pool2d", ImportAvgPool},
      {"aten::batch_norm", ImportBatchNorm},
      {"aten::cat", ImportCat},
      {"aten::clamp", ClampTo},
      {"aten::constant_pad_nd", ImportPad},
      {"aten::conv1d", ImportConvolution},
      {"aten::conv2d", ImportConvolution},
      {"aten::conv_transpose1d", ImportTransposed},
      {"aten::conv_transpose2d", ImportTransposed},
      {"aten::div", Div},
      {"aten::flatten", ImportReshape},
      {"aten::hardtanh", ClampTo},
      {"aten::linear", ImportLinear},
      {"aten::matmul", ImportMatmul},
      {"aten::max_pool1d", ImportMaxPool},
      {"aten::max_pool2d", ImportMaxPool},
      {"aten::mean", ImportMean},
      {"aten::mm", ImportMatmul},
      {"aten::mul", Mul},
      {"aten::narrow", ImportNarrow},
      {"aten::permute", ImportPermute},
      {"aten::pad", ImportPad},
      {"aten::relu", Relu},
      {"aten::relu6", Relu6},
      {"aten::reshape", ImportReshape},
      {"aten::select", ImportSelect},
      {"aten::slice", ImportSlice},
      {"aten::squeeze", ImportReshape},
      {"aten::sub", Sub},
      {"aten::transpose", ImportPermute},
      {"aten::unsqueeze", ImportReshape},
      {"aten::view", ImportReshape},
  };
  return *importers;
}

}  // namespace

bool ImportOperator(const jit::Node* node, ImportContext* context) {
  const auto it = Importers().find(node->kind().toQualString());
  return it != Importers().end() && it->second(node, context);
}

const char* UnaryFunction(const jit::Node* node) {
  static const auto* functions =
      new std::unordered_map<std::string, const char*>{
          {"aten::abs", "abs"},
          {"aten::add", "add_scalar"},
          {"aten::celu", "celu"},
          {"aten::clamp", "clamp"},
          {"aten::div", "div_scalar"},
          {"aten::elu", "elu"},
          {"aten::erf", "erf"},
          {"aten::exp", "exp"},
          {"aten::gelu", "gelu"},
          {"aten::hardsigmoid", "hardsigmoid"},
          {"aten::hardswish", "hardswish"},
          {"aten::hardtanh", "hardtanh"},
          {"aten::leaky_relu", "leaky_relu"},
          {"aten::log", "log"},
          {"aten::log_sigmoid", "log_sigmoid"},
          {"aten::mish", "mish"},
          {"aten::mul", "mul_scalar"},
          {"aten::neg", "neg"},
          {"aten::pow", "pow_scalar"},
          {"aten::reciprocal", "reciprocal"},
          {"aten::rsqrt", "rsqrt"},
          {"aten::rsub", "rsub_scalar"},
          {"aten::selu", "selu"},
          {"aten::sigmoid", "sigmoid"},
          {"aten::silu", "silu"},
          {"aten::softplus", "softplus"},
          {"aten::sqrt", "sqrt"},
          {"aten::square", "square"},
          {"aten::sub", "sub_scalar"},
          {"aten::tanh", "tanh"},
      };
  const auto it = functions->find(node->kind().toQualString());
  if (it == functions->end() || node->outputs().size() != 1) return nullptr;
  // Everything but the first input must be a number, or a tensor of one: then
  // the same function acts on every element.
  for (size_t i = 1; i < node->inputs().size(); ++i) {
    if (node->input(i) == node->input(0)) continue;
    const auto constant = jit::toIValue(node->input(i));
    if (!constant) return nullptr;
    if (constant->isTensor() && constant->toTensor().numel() != 1) {
      return nullptr;
    }
  }
  return it->second;
}

}  // namespace quantserve
