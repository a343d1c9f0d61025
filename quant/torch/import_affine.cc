// Importers of what scales and shifts by constants: BatchNorm, layer scale,
// biases added afterwards. See import_ops.h.
#include <algorithm>
#include <string>

#include "quant/torch/import_ops.h"

namespace quantserve {
namespace {

namespace jit = torch::jit;

const jit::Value* Output(const jit::Node* node) { return node->outputs()[0]; }

int64_t Trailing(const Shape& shape, size_t dim) {
  int64_t product = 1;
  for (size_t d = dim + 1; d < shape.size(); ++d) product *= shape[d];
  return product;
}

// The dimension of `from` whose indices are those of `to`'s dimension `dim`
// when one is reshaped into the other; -1 if there is none.
int64_t ThroughReshape(const Shape& from, const Shape& to, int64_t dim) {
  for (size_t d = 1; d < from.size(); ++d) {
    if (from[d] == to[dim] && Trailing(from, d) == Trailing(to, dim)) {
      return static_cast<int64_t>(d);
    }
  }
  return -1;
}

// Where the layer's output channels are; -1 if `node` is no layer.
int64_t ChannelDimension(const Plan& plan, const Node& node) {
  if (node.kind == OpKind::kConv2d) return 1;
  if (node.kind != OpKind::kLinear) return -1;
  return static_cast<int64_t>(plan.value(node.outputs[0]).shape.size()) - 1;
}

// W' = W * factor, b' = b * factor + shift.
void Scale(const std::vector<float>& factor, const std::vector<float>& shift,
           Weights* weights) {
  const Tensor& old = *weights->data;
  auto scaled = std::make_shared<Tensor>(DType::kF32, old.shape());
  const int64_t row = old.elements() / old.shape()[0];
  for (int64_t i = 0; i < old.elements(); ++i) {
    scaled->data<float>()[i] = old.data<float>()[i] * factor[i / row];
  }
  weights->bias.resize(factor.size(), 0.0f);
  for (size_t c = 0; c < factor.size(); ++c) {
    weights->bias[c] = weights->bias[c] * factor[c] + shift[c];
  }
  weights->data = std::move(scaled);
}

// The layer that computes `id`, through nodes that only move numbers, if
// `reader` is the only one to see any of them.
Node* LayerBehind(ValueId id, int64_t dim, const jit::Node* reader,
                  ImportContext* context) {
  Plan& plan = context->plan();
  const jit::Node* only = reader;
  while (true) {
    if (!context->SoleReader(id, only)) return nullptr;
    only = nullptr;  // further up, the plan's own next node is the one reader
    const auto writer =
        std::find_if(plan.nodes.begin(), plan.nodes.end(),
                     [id](const Node& node) { return node.outputs[0] == id; });
    if (writer == plan.nodes.end()) return nullptr;
    if (dim == ChannelDimension(plan, *writer)) return &*writer;
    if (writer->kind == OpKind::kReshape) {
      dim = ThroughReshape(plan.value(writer->inputs[0]).shape,
                           plan.value(id).shape, dim);
      if (dim < 0) return nullptr;
    } else if (writer->kind == OpKind::kPermute) {
      dim = std::get<PermuteAttrs>(writer->attrs).order[dim];
    } else {
      return nullptr;
    }
    id = writer->inputs[0];
  }
}

}  // namespace

bool AppendAffine(const jit::Node* node, const jit::Value* x, int64_t dim,
                  const std::vector<float>& factor,
                  const std::vector<float>& shift, ImportContext* context) {
  const ValueId id = *context->Find(x);
  Node* layer = LayerBehind(id, dim, node, context);
  const int64_t channels = static_cast<int64_t>(factor.size());
  if (layer != nullptr && layer->weights.data->shape()[0] == channels) {
    Scale(factor, shift, &layer->weights);
    context->Alias(Output(node), id);
    return true;
  }
  const Shape& shape = context->ShapeOf(x);
  if (shape.size() < 3 || shape.size() > 4 || dim != 1) return false;
  auto weight = std::make_shared<Tensor>(DType::kF32, Shape{channels, 1, 1, 1});
  std::copy(factor.begin(), factor.end(), weight->data<float>());
  Conv2dAttrs attrs;
  attrs.groups = channels;
  const Weights weights{std::move(weight), {}, shift};
  if (shape.size() == 4) {
    context->Append(OpKind::kConv2d, {id}, Output(node), attrs).weights =
        weights;
    return true;
  }
  const Shape image{1, shape[1], 1, shape[2]};
  const std::string& name = Output(node)->debugName();
  const ValueId wide =
      context->AppendInner(OpKind::kReshape, id, name + ".image", image);
  const ValueId scaled = context->AppendInner(OpKind::kConv2d, wide,
                                              name + ".scaled", image, attrs);
  context->plan().nodes.back().weights = weights;
  context->Append(OpKind::kReshape, {scaled}, Output(node));
  return true;
}

bool ImportAffine(const jit::Node* node, const Affine& affine,
                  ImportContext* context) {
  const jit::Value* x = node->input(affine.x);
  if (!context->Find(x)) return false;
  const Shape& shape = context->ShapeOf(x);
  if (shape != context->ShapeOf(Output(node))) return false;
  const auto constant = context->Constant(node, affine.constant);
  // A single number is a function of one value: a table does that exactly.
  if (!constant || constant->numel() < 2) return false;
  const auto sizes = constant->sizes();
  const int64_t rank = static_cast<int64_t>(shape.size());
  if (constant->dim() > rank) return false;
  int64_t dim = -1;
  for (int64_t d = 0; d < constant->dim(); ++d) {
    if (sizes[d] == 1) continue;
    if (dim >= 0) return false;
    dim = d + rank - constant->dim();
  }
  if (dim < 1 || constant->numel() != shape[dim]) return false;
  std::vector<float> factor(constant->numel(), 1.0f);
  std::vector<float> shift(constant->numel(), 0.0f);
  switch (affine.kind) {
    case Affine::kAdd:
      shift = ToVector(*constant);
      break;
    case Affine::kSubtract:
      shift = ToVector(-*constant);
      break;
    case Affine::kMultiply:
      factor = ToVector(*constant);
      break;
    case Affine::kDivide:
      factor = ToVector(1.0 / *constant);
      break;
  }
  return AppendAffine(node, x, dim, factor, shift, context);
}

// aten::batch_norm(x, gamma, beta, mean, var, training, momentum, eps, cudnn).
// Freezing leaves it behind where it follows a linear layer.
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
  if (shape.size() < 2 || shape[1] != static_cast<int64_t>(factor.size())) {
    return false;
  }
  return AppendAffine(node, node->input(0), 1, factor, shift, context);
}

}  // namespace quantserve
