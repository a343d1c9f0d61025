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

// [N,C,L] as [N,C,1,L].
Shape Image(const Shape& shape) {
  return shape.size() == 3 ? Shape{shape[0], shape[1], 1, shape[2]} : shape;
}

bool AppendPool(const jit::Node* node, OpKind kind, PoolAttrs attrs,
                bool allow_extra, ImportContext* context) {
  const auto input = context->Find(node->input(0));
  const Shape in = Image(context->ShapeOf(node->input(0)));
  const Shape out = Image(context->ShapeOf(Output(node)));
  if (!input || in.size() != 4 || out.size() != 4) return false;
  for (int d = 0; d < 2; ++d) {
    const int64_t window = attrs.dilation[d] * (attrs.kernel[d] - 1) + 1;
    const int64_t near = attrs.padding[d];
    const int64_t far =
        FarPadding(in[2 + d], out[2 + d], attrs.stride[d], window, near);
    if (far != near && !allow_extra) return false;
    attrs.padding[d + 2] = far;
  }
  if (in == context->ShapeOf(node->input(0))) {
    context->Append(kind, {*input}, Output(node), attrs);
    return true;
  }
  const std::string& name = Output(node)->debugName();
  ValueId id =
      context->AppendInner(OpKind::kReshape, *input, name + ".image", in);
  id = context->AppendInner(kind, id, name + ".pooled", out, attrs);
  context->Append(OpKind::kReshape, {id}, Output(node));
  return true;
}

// Kernel, stride (an empty list means the kernel) and padding at inputs 1 to 3.
std::optional<PoolAttrs> ReadPool(const jit::Node* node,
                                  const ImportContext& context) {
  const std::string kind = node->kind().toQualString();
  const size_t rank = kind.find("pool1d") != std::string::npos ? 1 : 2;
  const auto kernel = context.Ints(node, 1, rank);
  auto stride = context.Ints(node, 2, rank);
  const auto padding = context.Ints(node, 3, rank);
  if (!stride && context.Ints(node, 2, 0)) stride = kernel;
  if (!kernel || !stride || !padding) return std::nullopt;
  PoolAttrs attrs;
  for (size_t d = 0; d < rank; ++d) {
    attrs.kernel[2 - rank + d] = (*kernel)[d];
    attrs.stride[2 - rank + d] = (*stride)[d];
    attrs.padding[2 - rank + d] = (*padding)[d];
  }
  return attrs;
}

}  // namespace

// aten::max_pool1d and 2d(x, kernel, stride, padding, dilation, ceil_mode)
bool ImportMaxPool(const jit::Node* node, ImportContext* context) {
  auto attrs = ReadPool(node, *context);
  const auto dilation = context->AnyInts(node, 4);
  if (!attrs || !dilation || dilation->empty()) return false;
  attrs->dilation = {dilation->size() == 2 ? dilation->front() : 1,
                     dilation->back()};
  return AppendPool(node, OpKind::kMaxPool, *attrs, true, context);
}

// aten::avg_pool1d and 2d(x, kernel, stride, padding, ceil_mode,
// count_include_pad,
//                  divisor_override)
bool ImportAvgPool(const jit::Node* node, ImportContext* context) {
  auto attrs = ReadPool(node, *context);
  const auto include = context->Bool(node, 5);
  const bool divisor = node->inputs().size() > 6 && !context->IsNone(node, 6);
  if (!attrs || !include || divisor) return false;
  attrs->count_include_pad = *include;
  return AppendPool(node, OpKind::kAvgPool, *attrs, false, context);
}

// aten::adaptive_avg_pool1d and 2d(x, size) where the size divides the input's.
bool ImportAdaptiveAvgPool(const jit::Node* node, ImportContext* context) {
  const auto input = context->Find(node->input(0));
  if (!input) return false;
  const Shape in = Image(context->ShapeOf(node->input(0)));
  const Shape out = Image(context->ShapeOf(Output(node)));
  if (in == out) {
    context->Alias(Output(node), *input);
    return true;
  }
  if (in.size() != 4 || out.size() != 4 || in[2] % out[2] != 0 ||
      in[3] % out[3] != 0) {
    return false;
  }
  PoolAttrs attrs;
  attrs.kernel = {in[2] / out[2], in[3] / out[3]};
  attrs.stride = attrs.kernel;
  return AppendPool(node, OpKind::kAvgPool, attrs, false, context);
}

// aten::mean(x, dims, keepdim, dtype) over neighbouring dimensions: a pool over
// [N, all before, all inside, all behind].
bool ImportMean(const jit::Node* node, ImportContext* context) {
  const auto input = context->Find(node->input(0));
  auto dims = context->AnyInts(node, 1);
  if (!input || !dims || dims->empty() || !context->IsNone(node, 3)) {
    return false;
  }
  const Shape& in = context->ShapeOf(node->input(0));
  const int64_t rank = static_cast<int64_t>(in.size());
  for (int64_t& d : *dims) d += d < 0 ? rank : 0;
  std::sort(dims->begin(), dims->end());
  const int64_t first = dims->front(), last = dims->back();
  if (first < 1 || last - first + 1 != static_cast<int64_t>(dims->size())) {
    return false;
  }
  Shape image{1, 1, 1, 1};
  for (int64_t d = 1; d < rank; ++d) {
    image[d < first ? 1 : d <= last ? 2 : 3] *= in[d];
  }
  Shape pooled = image;
  pooled[2] = 1;
  PoolAttrs attrs;
  attrs.kernel = {image[2], 1};
  if (rank == 4 && first == 2 && last == 3) {  // as it is
    image = in;
    pooled = {1, in[1], 1, 1};
    attrs.kernel = {in[2], in[3]};
  }
  attrs.stride = attrs.kernel;
  const std::string& name = Output(node)->debugName();
  ValueId id = *input;
  if (image != in) {
    id = context->AppendInner(OpKind::kReshape, id, name + ".image", image);
  }
  if (context->ShapeOf(Output(node)) == pooled) {
    context->Append(OpKind::kAvgPool, {id}, Output(node), attrs);
    return true;
  }
  id = context->AppendInner(OpKind::kAvgPool, id, name + ".pooled", pooled,
                            attrs);
  context->Append(OpKind::kReshape, {id}, Output(node));
  return true;
}

}  // namespace quantserve
