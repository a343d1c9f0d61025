// Which operator is imported by whom, and the small importers: clamps, sums,
// shapes.
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
  return Binary(node, OpKind::kAdd, context);
}

bool Mul(const jit::Node* node, ImportContext* context) {
  return Binary(node, OpKind::kMul, context);
}
// flatten, view, reshape, squeeze, unsqueeze: the row-major order stays, and
// dimension 0 is the batch before and after (else `v` were no plan value).
bool Reshape(const jit::Node* node, ImportContext* context) {
  const auto input = context->Find(node->input(0));
  if (!input) return false;
  context->Append(OpKind::kReshape, {*input}, Output(node));
  return true;
}

// aten::cat(list, dim)
bool Cat(const jit::Node* node, ImportContext* context) {
  const jit::Node* list = node->input(0)->node();
  auto axis = context->Int(node, 1);
  if (list->kind() != c10::prim::ListConstruct || !axis) return false;
  std::vector<ValueId> inputs;
  for (const jit::Value* v : list->inputs()) {
    const auto id = context->Find(v);
    if (!id) return false;
    inputs.push_back(*id);
  }
  if (*axis < 0) *axis += context->ShapeOf(Output(node)).size();
  if (inputs.empty() || *axis < 1) return false;
  context->Append(OpKind::kConcat, std::move(inputs), Output(node),
                  ConcatAttrs{*axis});
  return true;
}

// aten::slice(x, dim, start, end, step)
bool Slice(const jit::Node* node, ImportContext* context) {
  const auto input = context->Find(node->input(0));
  auto dim = context->Int(node, 1);
  auto start = context->Int(node, 2);
  const auto step = context->Int(node, 4);
  if (!start && context->IsNone(node, 2)) start = 0;
  if (!input || !dim || !start || !step || *step < 1) return false;
  const Shape& in = context->ShapeOf(node->input(0));
  const int64_t rank = static_cast<int64_t>(in.size());
  if (*dim < 0) *dim += rank;
  if (in == context->ShapeOf(Output(node)) && *step == 1) {
    context->Alias(Output(node), *input);  // x[:]
    return true;
  }
  if (*dim < 1 || *dim >= rank) return false;
  if (*start < 0) *start = std::max<int64_t>(0, *start + in[*dim]);
  SliceAttrs attrs{Shape(rank, 0), Shape(rank, 1)};
  attrs.start[*dim] = *start;
  attrs.step[*dim] = *step;
  context->Append(OpKind::kSlice, {*input}, Output(node), attrs);
  return true;
}

// aten::constant_pad_nd(x, widths, value) and
// aten::pad(x, widths, "constant", value); widths from the last dimension on.
bool Pad(const jit::Node* node, ImportContext* context) {
  const bool general = node->kind() != c10::aten::constant_pad_nd;
  const auto input = context->Find(node->input(0));
  const auto list = jit::toIValue(node->input(1));
  if (!input || !list || !list->isIntList()) return false;
  if (general) {
    const auto mode = jit::toIValue(node->input(2));
    if (!mode || !mode->isString() || mode->toStringRef() != "constant") {
      return false;
    }
  }
  const size_t value_at = general ? 3 : 2;
  const auto value = context->Number(node, value_at);
  if (!value && !context->IsNone(node, value_at)) return false;
  const Shape widths = list->toIntVector();
  const size_t rank = context->ShapeOf(node->input(0)).size();
  if (widths.size() % 2 != 0 || widths.size() / 2 >= rank) return false;
  PadAttrs attrs{Shape(rank, 0), Shape(rank, 0),
                 static_cast<float>(value.value_or(0.0))};
  for (size_t i = 0; i < widths.size() / 2; ++i) {
    attrs.before[rank - 1 - i] = widths[2 * i];
    attrs.after[rank - 1 - i] = widths[2 * i + 1];
    if (widths[2 * i] < 0 || widths[2 * i + 1] < 0) return false;
  }
  context->Append(OpKind::kPad, {*input}, Output(node), attrs);
  return true;
}

const std::unordered_map<std::string, Importer>& Importers() {
  static const auto* importers = new std::unordered_map<std::string, Importer>{
      {"aten::_convolution", ImportConv2d},
      {"aten::adaptive_avg_pool2d", ImportAdaptiveAvgPool},
      {"aten::add", Add},
      {"aten::add_", Add},
      {"aten::addmm", ImportAddmm},
      {"aten::avg_pool2d", ImportAvgPool},
      {"aten::batch_norm", ImportBatchNorm},
      {"aten::cat", Cat},
      {"aten::clamp", ClampTo},
      {"aten::constant_pad_nd", Pad},
      {"aten::conv2d", ImportConv2d},
      {"aten::flatten", Reshape},
      {"aten::hardtanh", ClampTo},
      {"aten::linear", ImportLinear},
      {"aten::matmul", ImportMatmul},
      {"aten::max_pool2d", ImportMaxPool},
      {"aten::mean", ImportMean},
      {"aten::mm", ImportMatmul},
      {"aten::mul", Mul},
      {"aten::pad", Pad},
      {"aten::relu", Relu},
      {"aten::relu6", Relu6},
      {"aten::reshape", Reshape},
      {"aten::slice", Slice},
      {"aten::squeeze", Reshape},
      {"aten::unsqueeze", Reshape},
      {"aten::view", Reshape},
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
