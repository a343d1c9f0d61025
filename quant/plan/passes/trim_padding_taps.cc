#include <algorithm>
#include <cstring>
#include <utility>

#include "quant/plan/passes/passes.h"

namespace quantserve {
namespace {

// One dimension of a convolution.
struct Axis {
  int64_t size, out, taps, stride, dilation, before, after;
};

// The taps that stay, and the padding that they need.
struct Kept {
  int64_t first, count, before, after;
};

bool MeetsInput(const Axis& a, int64_t tap) {
  for (int64_t o = 0; o < a.out; ++o) {
    const int64_t at = o * a.stride - a.before + tap * a.dilation;
    if (at >= 0 && at < a.size) return true;
  }
  return false;
}

// The padding behind that makes the output's size follow; -1 if none does.
int64_t PaddingAfter(const Axis& a, int64_t taps, int64_t before) {
  const int64_t window = a.dilation * (taps - 1) + 1;
  const int64_t needed = (a.out - 1) * a.stride + window - before - a.size;
  const int64_t after = std::max<int64_t>(needed, 0);
  const int64_t room = a.size + before + after - window;
  return room / a.stride + 1 == a.out ? after : -1;
}

Kept Trim(const Axis& a) {
  Kept kept{0, a.taps, a.before, a.after};
  // Padding cannot be negative, so a leading tap goes only with its padding.
  while (kept.count > 1 && kept.before >= a.dilation &&
         !MeetsInput(a, kept.first)) {
    ++kept.first;
    --kept.count;
    kept.before -= a.dilation;
  }
  while (kept.count > 1 && !MeetsInput(a, kept.first + kept.count - 1)) {
    const int64_t after = PaddingAfter(a, kept.count - 1, kept.before);
    if (after < 0) break;
    --kept.count;
    kept.after = after;
  }
  // With a stride, the last padding may be out of every window's reach.
  const int64_t after = PaddingAfter(a, kept.count, kept.before);
  if (after >= 0) kept.after = after;
  return kept;
}

std::shared_ptr<const Tensor> Cut(const Tensor& weights, const Kept& rows,
                                  const Kept& columns) {
  const Shape& from = weights.shape();
  Tensor cut(weights.dtype(), {from[0], from[1], rows.count, columns.count});
  const int64_t element = DTypeSize(weights.dtype());
  const auto* src = weights.data<std::byte>();
  auto* dst = cut.data<std::byte>();
  for (int64_t kc = 0; kc < from[0] * from[1]; ++kc) {
    for (int64_t r = 0; r < rows.count; ++r) {
      std::memcpy(
          dst,
          src + ((kc * from[2] + rows.first + r) * from[3] + columns.first) *
                    element,
          columns.count * element);
      dst += columns.count * element;
    }
  }
  return std::make_shared<const Tensor>(std::move(cut));
}

}  // namespace

Plan TrimPaddingTaps(Plan plan) {
  for (Node& node : plan.nodes) {
    if (node.kind != OpKind::kConv2d) continue;
    auto& attrs = std::get<Conv2dAttrs>(node.attrs);
    const Shape& in = plan.value(node.inputs[0]).shape;
    const Shape& out = plan.value(node.outputs[0]).shape;
    const Shape& w = node.weights.data->shape();
    Kept kept[2];
    for (int d = 0; d < 2; ++d) {
      kept[d] =
          Trim({in[2 + d], out[2 + d], w[2 + d], attrs.stride[d],
                attrs.dilation[d], attrs.padding[d], attrs.padding[2 + d]});
      // A window of one tap has no dilation to speak of.
      if (kept[d].count == 1) attrs.dilation[d] = 1;
      attrs.padding[d] = kept[d].before;
      attrs.padding[2 + d] = kept[d].after;
    }
    if (kept[0].count == w[2] && kept[1].count == w[3]) continue;
    node.weights.data = Cut(*node.weights.data, kept[0], kept[1]);
  }
  return plan;
}

}  // namespace quantserve
