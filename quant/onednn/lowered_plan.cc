// What the batch sizes of one plan share, and the arithmetic that folds scales
// and zero points into a product's constants.
#include <algorithm>
#include <utility>

#include "quant/onednn/lowering.h"
#include "quant/plan/passes/passes.h"

namespace quantserve::onednn {
namespace {

// Sum of the weights of output channel k.
double WeightSum(const Weights& weights, int64_t k) {
  const int64_t n = weights.data->elements() / weights.data->shape()[0];
  const int8_t* w = weights.data->data<int8_t>() + k * n;
  int64_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += w[i];
  return static_cast<double>(sum);
}

// In units of the output's grid, u = s_out (1 for an FP32 output):
//   out = m_k * sum(q_in * w) + bias_k + (s_r / u) * q_r
// where m_k = s_in * s_k / u and bias_k collects everything constant: the
// bias, what the input's, the residual's and the output's zero points add.
void FoldScales(const LoweredPlan& lowered, const Node& node,
                ProductShape* shape) {
  const Plan& plan = lowered.plan;
  const Value& in = plan.value(node.inputs[0]);
  const Value& out = plan.value(node.outputs[0]);
  const double unit = out.quant ? out.quant->scale : 1.0;
  const double out_zero =
      out.quant ? HeldZeroPoint(*out.quant, lowered.types[node.outputs[0]]) : 0;
  const double in_zero =
      HeldZeroPoint(*in.quant, lowered.types[node.inputs[0]]);
  double constant = out_zero;
  if (node.inputs.size() > 1) {
    const Value& residual = plan.value(node.inputs[1]);
    const double ratio = residual.quant->scale / unit;
    constant -=
        ratio * HeldZeroPoint(*residual.quant, lowered.types[node.inputs[1]]);
    shape->sum = {static_cast<float>(ratio),
                  ToDnnl(lowered.types[node.inputs[1]])};
  }
  for (int64_t k = 0; k < shape->out_channels; ++k) {
    const double multiplier =
        static_cast<double>(in.quant->scale) * node.weights.scales[k] / unit;
    const double bias = node.weights.bias.empty() ? 0 : node.weights.bias[k];
    shape->multipliers.push_back(static_cast<float>(multiplier));
    shape->bias.push_back(
        static_cast<float>(bias / unit + constant -
                           multiplier * in_zero * WeightSum(node.weights, k)));
  }
  if (!node.clamp) return;
  const double lo = node.clamp->lo / unit + out_zero;
  const double hi = node.clamp->hi / unit + out_zero;
  const bool is_signed = shape->out_type == ElementType::kS8;
  const double least = is_signed ? -128 : 0, most = is_signed ? 127 : 255;
  // Saturation does it already: ReLU onto a grid with zero point 0.
  if (out.quant && lo <= least && hi >= most) return;
  shape->clip = {static_cast<float>(lo), static_cast<float>(hi)};
}

// [K, 3, kh, kw] with a fourth input channel of zeros.
std::vector<int8_t> WithFourthChannel(const Tensor& weights) {
  const Shape& w = weights.shape();
  const int64_t window = w[2] * w[3], block = w[1] * window;
  std::vector<int8_t> wide(w[0] * (w[1] + 1) * window);
  for (int64_t k = 0; k < w[0]; ++k) {
    std::copy_n(weights.data<int8_t>() + k * block, block,
                wide.begin() + k * (block + window));
  }
  return wide;
}

}  // namespace

bool IsProduct(const Node& node) {
  return node.kind == OpKind::kConv2d || node.kind == OpKind::kLinear;
}

LoweredPlan::LoweredPlan(Plan p)
    : plan(std::move(p)), frames(FindFrames(plan)) {
  read_by_product.assign(plan.values.size(), false);
  for (const Node& node : plan.nodes) {
    if (!IsProduct(node)) continue;
    for (ValueId id : node.inputs) read_by_product[id] = true;
  }
  const std::vector<bool> held_signed = HeldSigned(plan);
  for (size_t i = 0; i < plan.values.size(); ++i) {
    types.push_back(!plan.values[i].quant ? ElementType::kF32
                    : held_signed[i]      ? ElementType::kS8
                                          : ElementType::kU8);
  }
}

ProductShape ShapeOfProduct(const LoweredPlan& lowered, const Node& node,
                            const LoweringOptions& options) {
  const Plan& plan = lowered.plan;
  const Value& in = plan.value(node.inputs[0]);
  const Value& out = plan.value(node.outputs[0]);
  const Shape& w = node.weights.data->shape();
  ProductShape shape;
  shape.node = node.name;
  shape.batch = options.batch;
  shape.in_type = lowered.types[node.inputs[0]];
  shape.out_type = lowered.types[node.outputs[0]];
  shape.out_channels = w[0];
  if (node.kind == OpKind::kLinear) {
    shape.linear = true;
    shape.in_channels = w[1];
    shape.in_width = shape.out_width = out.elements() / w[0];
  } else {
    shape.in_channels = in.shape[1];
    shape.in_height = in.shape[2];
    shape.in_width = in.shape[3];
    shape.out_height = out.shape[2];
    shape.out_width = out.shape[3];
    shape.kernel_height = w[2];
    shape.kernel_width = w[3];
    shape.conv = std::get<Conv2dAttrs>(node.attrs);
  }
  const auto frame = lowered.frames.find(node.inputs[0]);
  if (frame != lowered.frames.end()) {
    shape.in_channels = frame->second.shape.frame_channels;
  }
  if (in.quant) {
    shape.weights_type = ElementType::kS8;
    FoldScales(lowered, node, &shape);
    return shape;
  }
  if (options.bf16) {
    shape.in_type = shape.weights_type = ElementType::kBF16;
    if (lowered.read_by_product[node.outputs[0]]) {
      shape.out_type = ElementType::kBF16;
    }
  }
  shape.bias = node.weights.bias;
  if (node.inputs.size() > 1) shape.sum = {1, ToDnnl(shape.out_type)};
  if (node.clamp) shape.clip = {node.clamp->lo, node.clamp->hi};
  return shape;
}

const void* PlainWeights(const Node& node, const ProductShape& shape,
                         std::vector<int8_t>* storage) {
  const Tensor& weights = *node.weights.data;
  if (shape.linear ||
      shape.in_channels == weights.shape()[1] * shape.conv.groups) {
    return weights.data<std::byte>();
  }
  *storage = WithFourthChannel(weights);
  return storage->data();
}

}  // namespace quantserve::onednn
