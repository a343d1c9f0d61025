// Which layouts each kind of node reads and writes.
#include "quant/onednn/lowering.h"

namespace quantserve::onednn {
namespace {

// For loops that need whole images or whole channels in one piece.
Layout Unblocked(Layout layout) {
  return layout == Layout::kBlocked16 ? Layout::kChannelsLast : layout;
}

// For loops over channels: one channel at a time is slow.
Layout ChannelsInside(const Shape& shape, Layout layout) {
  if (shape.size() != 4 || layout != Layout::kRowMajor) return layout;
  return Layout::kChannelsLast;
}

// Where nothing needs to move the output says so by its layout: channels last
// is [N,H,W,C] in memory, which is what the orders below make of [N,C,H,W].
Layout PermutedLayout(const Shape& order, Layout in) {
  const bool from_rows = in == Layout::kRowMajor && order == Shape{0, 3, 1, 2};
  return from_rows ? Layout::kChannelsLast : Layout::kRowMajor;
}

}  // namespace

NodeLayouts LayoutsOf(const Plan& plan, const Node& node,
                      const std::vector<Layout>& written,
                      const Candidate* choice) {
  NodeLayouts result;
  result.in.assign(node.inputs.size(), Layout::kRowMajor);
  if (node.inputs.empty()) return result;
  const Shape& in = plan.value(node.inputs[0]).shape;
  const bool image = in.size() == 4;
  const Layout first = image ? written[node.inputs[0]] : Layout::kRowMajor;
  const auto all = [&](Layout layout) {
    for (size_t i = 0; i < node.inputs.size(); ++i) result.in[i] = layout;
    result.out = layout;
  };
  switch (node.kind) {
    case OpKind::kConv2d:
      all(choice->out);
      result.in[0] = choice->in;
      return result;
    case OpKind::kLinear:
    case OpKind::kReshape:
    case OpKind::kIsland:
      return result;
    case OpKind::kQuantize: {
      // 8-bit images have their channels inside; a float one that does not is
      // turned around on the way (see LowerQuantize).
      const Layout from = Unblocked(first);
      all(image ? Layout::kChannelsLast : Layout::kRowMajor);
      if (image && in[1] <= 4) result.in[0] = from;
      return result;
    }
    case OpKind::kDequantize:
    case OpKind::kClamp:
      all(first);
      return result;
    case OpKind::kAdd:
    case OpKind::kMul:
    case OpKind::kMaxPool:
    case OpKind::kAvgPool:
      all(ChannelsInside(in, first));
      return result;
    case OpKind::kPermute:
      if (!image) return result;
      result.in[0] = Unblocked(first);
      result.out = PermutedLayout(std::get<PermuteAttrs>(node.attrs).order,
                                  result.in[0]);
      return result;
    case OpKind::kConcat:
    case OpKind::kSlice:
    case OpKind::kPad:
    case OpKind::kUnary:
      all(Unblocked(first));
      return result;
  }
  return result;
}

}  // namespace quantserve::onednn
