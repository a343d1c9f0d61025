// Importers of pooling and spatial means. See import_ops.h.
#include <algorithm>
#include <cmath>
#include <string>

#include "quant/torch/import_ops.h"

namespace quantserve {
namespace {

namespace jit = torch::jit;

const jit::Value* Output(const jit::Node* node) { return node->outputs()[0]; }

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

}  // namespace

// aten::max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)
bool ImportMaxPool(const jit::Node* node, ImportContext* context) {
  auto attrs = ReadPool(node, *context);
  const auto dilation = context->Ints(node, 4, 2);
  if (!attrs || !dilation) return false;
  attrs->dilation = {(*dilation)[0], (*dilation)[1]};
  return AppendPool(node, OpKind::kMaxPool, *attrs, true, context);
}

// aten::avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad,
//                  divisor_override)
bool ImportAvgPool(const jit::Node* node, ImportContext* context) {
  auto attrs = ReadPool(node, *context);
  const auto include = context->Bool(node, 5);
  if (!attrs || !include || !context->IsNone(node, 6)) return false;
  attrs->count_include_pad = *include;
  return AppendPool(node, OpKind::kAvgPool, *attrs, false, context);
}

// aten::adaptive_avg_pool2d(x, size) where the size divides the input's.
bool ImportAdaptiveAvgPool(const jit::Node* node, ImportContext* context) {
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
bool ImportMean(const jit::Node* node, ImportContext* context) {
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

}  // namespace quantserve
