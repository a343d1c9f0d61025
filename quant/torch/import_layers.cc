// Importers of convolutions, linear layers and BatchNorm. See import_ops.h.
#include <algorithm>
#include <cmath>
#include <string>

#include "quant/torch/import_ops.h"

namespace quantserve {
namespace {

namespace jit = torch::jit;

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

// Folds y = x * factor[c] + shift[c] into the layer that computes x, if nobody
// else reads x:  W' = W * factor,  b' = b * factor + shift.
bool FoldAffine(const jit::Node* node, const std::vector<float>& factor,
                const std::vector<float>& shift, ImportContext* context) {
  const jit::Value* x = node->input(0);
  Plan& plan = context->plan();
  const ValueId id = *context->Find(x);
  // An alias (a dropout's output) is not all that the layer's readers see.
  if (x->uses().size() != 1 || plan.value(id).name != x->debugName()) {
    return false;
  }
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

}  // namespace

// aten::conv2d(x, w, b, stride, padding, dilation, groups) and
// aten::_convolution(x, w, b, stride, padding, dilation, transposed,
//                    output_padding, groups, …).
bool ImportConv2d(const jit::Node* node, ImportContext* context) {
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

// aten::linear(x, w, b)
bool ImportLinear(const jit::Node* node, ImportContext* context) {
  const auto weight = context->Constant(node, 1);
  std::vector<float> bias;
  if (!weight || !ReadBias(node, 2, *context, &bias)) return false;
  return AppendLinear(node, node->input(0), *weight, std::move(bias), context);
}

// aten::addmm(b, x, w^T, beta, alpha)
bool ImportAddmm(const jit::Node* node, ImportContext* context) {
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
bool ImportMatmul(const jit::Node* node, ImportContext* context) {
  const auto weight = context->Constant(node, 1);
  if (!weight || weight->dim() != 2) return false;
  return AppendLinear(node, node->input(0), weight->t(), {}, context);
}

// aten::batch_norm(x, gamma, beta, mean, var, training, momentum, eps, cudnn):
// folded into the layer before it (freezing leaves it behind where it follows
// a linear layer), else a depthwise 1x1 convolution.
bool ImportBatchNorm(const jit::Node* node, ImportContext* context) {
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

}  // namespace quantserve
