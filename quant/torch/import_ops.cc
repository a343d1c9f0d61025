// One small importer for each operator that plans know.
#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_map>

#include "quant/torch/import_context.h"

namespace quantserve {
namespace {

namespace jit = torch::jit;
using Importer = bool (*)(const jit::Node*, ImportContext*);

const jit::Value* Output(const jit::Node* node) { return node->outputs()[0]; }

std::shared_ptr<const Tensor> Share(const at::Tensor& tensor) {
  return std::make_shared<const Tensor>(ToTensor(tensor));
}

std::vector<float> ToVector(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(torch::kFloat32).contiguous();
  const float* data = flat.data_ptr<float>();
  return {data, data + flat.numel()};
}

// The bias at input `i`: constant, or absent. False if it is anything else.
bool ReadBias(const jit::Node* node, size_t i, const ImportContext& context,
              std::vector<float>* bias) {
  if (context.IsNone(node, i)) return true;
  const auto tensor = context.Constant(node, i);
  if (!tensor || tensor->dim() != 1) return false;
  *bias = ToVector(*tensor);
  return true;
}

// aten::conv2d(x, w, b, stride, padding, dilation, groups) and
// aten::_convolution(x, w, b, stride, padding, dilation, transposed,
//                    output_padding, groups, …).
bool Conv2d(const jit::Node* node, ImportContext* context) {
  const bool general = node->kind() != c10::aten::conv2d;
  const auto input = context->Find(node->input(0));
  const auto weight = context->Constant(node, 1);
  const auto stride = context->Ints(node, 3, 2);
  const auto padding = context->Ints(node, 4, 2);
  const auto dilation = context->Ints(node, 5, 2);
  const auto groups = context->Int(node, general ? 8 : 6);
  if (!input || !weight || weight->dim() != 4 || !stride || !padding ||
      !dilation || !groups || context->ShapeOf(node->input(0)).size() != 4) {
    return false;
  }
  if (general && context->Bool(node, 6) != false) return false;
  Weights weights;
  if (!ReadBias(node, 2, *context, &weights.bias)) return false;
  weights.data = Share(*weight);
  Conv2dAttrs attrs;
  attrs.stride = {(*stride)[0], (*stride)[1]};
  attrs.dilation = {(*dilation)[0], (*dilation)[1]};
  attrs.padding = {(*padding)[0], (*padding)[1], (*padding)[0], (*padding)[1]};
  attrs.groups = *groups;
  context->Append(OpKind::kConv2d, {*input}, Output(node), attrs).weights =
      std::move(weights);
  return true;
}

bool AppendLinear(const jit::Node* node, const jit::Value* x,
                  const at::Tensor& weight, std::vector<float> bias,
                  ImportContext* context) {
  const auto input = context->Find(x);
  if (!input || weight.dim() != 2 || context->ShapeOf(x).size() < 2) {
    return false;
  }
  Weights weights{Share(weight), {}, std::move(bias)};
  context->Append(OpKind::kLinear, {*input}, Output(node)).weights =
      std::move(weights);
  return true;
}

// aten::linear(x, w, b)
bool Linear(const jit::Node* node, ImportContext* context) {
  const auto weight = context->Constant(node, 1);
  std::vector<float> bias;
  if (!weight || !ReadBias(node, 2, *context, &bias)) return false;
  return AppendLinear(node, node->input(0), *weight, std::move(bias), context);
}

// aten::addmm(b, x, w^T, beta, alpha)
bool Addmm(const jit::Node* node, ImportContext* context) {
  const auto weight = context->Constant(node, 2);
  const auto bias = context->Constant(node, 0);
  if (!weight || weight->dim() != 2 || !bias || bias->dim() != 1 ||
      bias->size(0) != weight->size(1) || context->Number(node, 3) != 1.0 ||
      context->Number(node, 4) != 1.0) {
    return false;
  }
  return AppendLinear(node, node->input(1), weight->t(), ToVector(*bias),
                      context);
}

// aten::matmul(x, w^T) and aten::mm
bool Matmul(const jit::Node* node, ImportContext* context) {
  const auto weight = context->Constant(node, 1);
  if (!weight || weight->dim() != 2) return false;
  return AppendLinear(node, node->input(0), weight->t(), {}, context);
}

// Folds y = x * factor[c] + shift[c] into the layer that computes x, if nobody
// else reads x:  W' = W * factor,  b' = b * factor + shift.
bool FoldAffine(const jit::Node* node, const std::vector<float>& factor,
                const std::vector<float>& shift, ImportContext* context) {
  const jit::Value* x = node->input(0);
  Plan& plan = context->plan();
  if (x->uses().size() != 1) return false;
  const ValueId id = *context->Find(x);
  for (Node& layer : plan.nodes) {
    if (layer.outputs[0] != id) continue;
    const bool folds =
        (layer.kind == OpKind::kConv2d ||
         (layer.kind == OpKind::kLinear && plan.value(id).shape.size() == 2)) &&
        layer.weights.data->shape()[0] == static_cast<int64_t>(factor.size());
    if (!folds) return false;
    const Tensor& old = *layer.weights.data;
    auto scaled = std::make_shared<Tensor>(DType::kF32, old.shape());
    const int64_t row = old.elements() / old.shape()[0];
    for (int64_t i = 0; i < old.elements(); ++i) {
      scaled->data<float>()[i] = old.data<float>()[i] * factor[i / row];
    }
    layer.weights.bias.resize(factor.size(), 0.0f);
    for (size_t c = 0; c < factor.size(); ++c) {
      layer.weights.bias[c] = layer.weights.bias[c] * factor[c] + shift[c];
    }
    layer.weights.data = std::move(scaled);
    context->Alias(Output(node), id);
    return true;
  }
  return false;
}

// aten::batch_norm(x, gamma, beta, mean, var, training, momentum, eps, cudnn):
// folded into the layer before it (freezing leaves it behind where it follows
// a linear layer), else a depthwise 1x1 convolution.
bool BatchNorm(const jit::Node* node, ImportContext* context) {
  const auto mean = context->Constant(node, 3);
  const auto variance = context->Constant(node, 4);
  const auto epsilon = context->Number(node, 7);
  if (!context->Find(node->input(0)) || !mean || !variance || !epsilon ||
      context->Bool(node, 5) != false) {
    return false;
  }
  std::vector<float> factor = ToVector(torch::rsqrt(*variance + *epsilon));
  if (!context->IsNone(node, 1)) {
    const auto gamma = context->Constant(node, 1);
    if (!gamma || gamma->numel() != mean->numel()) return false;
    factor = ToVector(*gamma * torch::rsqrt(*variance + *epsilon));
  }
  std::vector<float> shift(factor.size(), 0.0f);
  if (!context->IsNone(node, 2)) {
    const auto beta = context->Constant(node, 2);
    if (!beta || beta->numel() != mean->numel()) return false;
    shift = ToVector(*beta);
  }
  const std::vector<float> means = ToVector(*mean);
  for (size_t c = 0; c < shift.size(); ++c) shift[c] -= means[c] * factor[c];
  const Shape& shape = context->ShapeOf(node->input(0));
  const int64_t channels = static_cast<int64_t>(factor.size());
  if (shape.size() < 2 || shape[1] != channels) return false;
  if (FoldAffine(node, factor, shift, context)) return true;
  if (shape.size() != 4) return false;
  auto weight = std::make_shared<Tensor>(DType::kF32, Shape{channels, 1, 1, 1});
  std::copy(factor.begin(), factor.end(), weight->data<float>());
  Conv2dAttrs attrs;
  attrs.groups = channels;
  context
      ->Append(OpKind::kConv2d, {*context->Find(node->input(0))}, Output(node),
               attrs)
      .weights = {std::move(weight), {}, std::move(shift)};
  return true;
}

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

// The padding at the far end that makes a pool's output `out` long, at least
// the padding at the near end: ceil_mode adds some.
int64_t FarPadding(int64_t in, int64_t out, int64_t stride, int64_t window,
                   int64_t near) {
  return std::max(near, (out - 1) * stride + window - in - near);
}

bool AppendPool(const jit::Node* node, OpKind kind, PoolAttrs attrs,
                bool allow_extra, ImportContext* context) {
  const auto input = context->Find(node->input(0));
  const Shape& in = context->ShapeOf(node->input(0));
  const Shape& out = context->ShapeOf(Output(node));
  if (!input || in.size() != 4 || out.size() != 4) return false;
  for (int d = 0; d < 2; ++d) {
    const int64_t window = attrs.dilation[d] * (attrs.kernel[d] - 1) + 1;
    const int64_t near = attrs.padding[d];
    const int64_t far =
        FarPadding(in[2 + d], out[2 + d], attrs.stride[d], window, near);
    if (far != near && !allow_extra) return false;
    attrs.padding[d + 2] = far;
  }
  context->Append(kind, {*input}, Output(node), attrs);
  return true;
}

// Kernel, stride (an empty list means the kernel) and padding at inputs 1 to 3.
std::optional<PoolAttrs> ReadPool(const jit::Node* node,
                                  const ImportContext& context) {
  const auto kernel = context.Ints(node, 1, 2);
  auto stride = context.Ints(node, 2, 2);
  const auto padding = context.Ints(node, 3, 2);
  if (!stride) {
    const auto empty = context.Ints(node, 2, 0);
    if (empty) stride = kernel;
  }
  if (!kernel || !stride || !padding) return std::nullopt;
  PoolAttrs attrs;
  attrs.kernel = {(*kernel)[0], (*kernel)[1]};
  attrs.stride = {(*stride)[0], (*stride)[1]};
  attrs.padding = {(*padding)[0], (*padding)[1], 0, 0};
  return attrs;
}

// aten::max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)
bool MaxPool(const jit::Node* node, ImportContext* context) {
  auto attrs = ReadPool(node, *context);
  const auto dilation = context->Ints(node, 4, 2);
  if (!attrs || !dilation) return false;
  attrs->dilation = {(*dilation)[0], (*dilation)[1]};
  return AppendPool(node, OpKind::kMaxPool, *attrs, true, context);
}

// aten::avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad,
//                  divisor_override)
bool AvgPool(const jit::Node* node, ImportContext* context) {
  auto attrs = ReadPool(node, *context);
  const auto include = context->Bool(node, 5);
  if (!attrs || !include || !context->IsNone(node, 6)) return false;
  attrs->count_include_pad = *include;
  return AppendPool(node, OpKind::kAvgPool, *attrs, false, context);
}

// aten::adaptive_avg_pool2d(x, size) where the size divides the input's.
bool AdaptiveAvgPool(const jit::Node* node, ImportContext* context) {
  if (!context->Find(node->input(0))) return false;
  const Shape& in = context->ShapeOf(node->input(0));
  const Shape& out = context->ShapeOf(Output(node));
  if (in.size() != 4 || out.size() != 4 || in[2] % out[2] != 0 ||
      in[3] % out[3] != 0) {
    return false;
  }
  PoolAttrs attrs;
  attrs.kernel = {in[2] / out[2], in[3] / out[3]};
  attrs.stride = attrs.kernel;
  return AppendPool(node, OpKind::kAvgPool, attrs, false, context);
}

// aten::mean(x, dims, keepdim, dtype) over both spatial dimensions.
bool Mean(const jit::Node* node, ImportContext* context) {
  const auto input = context->Find(node->input(0));
  auto dims = context->Ints(node, 1, 2);
  if (!input || !dims || !context->IsNone(node, 3)) return false;
  const Shape& in = context->ShapeOf(node->input(0));
  for (int64_t& d : *dims) d += d < 0 ? 4 : 0;
  std::sort(dims->begin(), dims->end());
  if (in.size() != 4 || *dims != Shape{2, 3}) return false;
  PoolAttrs attrs;
  attrs.kernel = {in[2], in[3]};
  attrs.stride = attrs.kernel;
  const Shape pooled_shape{1, in[1], 1, 1};
  if (context->ShapeOf(Output(node)) == pooled_shape) {
    context->Append(OpKind::kAvgPool, {*input}, Output(node), attrs);
    return true;
  }
  Plan& plan = context->plan();
  const std::string name = Output(node)->debugName() + ".pooled";
  const ValueId pooled = plan.AddValue(name, pooled_shape);
  Node pool;
  pool.kind = OpKind::kAvgPool;
  pool.name = name;
  pool.inputs = {*input};
  pool.outputs = {pooled};
  pool.attrs = attrs;
  plan.nodes.push_back(std::move(pool));
  context->Append(OpKind::kReshape, {pooled}, Output(node));
  return true;
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
      {"aten::_convolution", Conv2d},
      {"aten::adaptive_avg_pool2d", AdaptiveAvgPool},
      {"aten::add", Add},
      {"aten::add_", Add},
      {"aten::addmm", Addmm},
      {"aten::avg_pool2d", AvgPool},
      {"aten::batch_norm", BatchNorm},
      {"aten::cat", Cat},
      {"aten::clamp", ClampTo},
      {"aten::constant_pad_nd", Pad},
      {"aten::conv2d", Conv2d},
      {"aten::flatten", Reshape},
      {"aten::hardtanh", ClampTo},
      {"aten::linear", Linear},
      {"aten::matmul", Matmul},
      {"aten::max_pool2d", MaxPool},
      {"aten::mean", Mean},
      {"aten::mm", Matmul},
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
