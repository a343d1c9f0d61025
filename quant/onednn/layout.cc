#include "quant/onednn/layout.h"

namespace quantserve::onednn {
namespace {
constexpr int64_t kBlock = 16;
int64_t Blocks(int64_t channels) { return (channels + kBlock - 1) / kBlock; }
}  // namespace

int64_t ElementBytes(ElementType type) {
  switch (type) {
    case ElementType::kF32:
      return 4;
    case ElementType::kBF16:
      return 2;
    case ElementType::kU8:
    case ElementType::kS8:
      return 1;
  }
  return 4;
}

DnnlType ToDnnl(ElementType type) {
  switch (type) {
    case ElementType::kF32:
      return DnnlType::f32;
    case ElementType::kBF16:
      return DnnlType::bf16;
    case ElementType::kU8:
      return DnnlType::u8;
    case ElementType::kS8:
      return DnnlType::s8;
  }
  return DnnlType::f32;
}

const char* LayoutName(Layout layout) {
  switch (layout) {
    case Layout::kRowMajor:
      return "nchw";
    case Layout::kChannelsLast:
      return "nhwc";
    case Layout::kBlocked16:
      return "blocked";
  }
  return "unknown";
}

View ViewOf(const Shape& shape, int64_t batch, Layout layout) {
  if (shape.size() != 4) {
    int64_t elements = batch;
    for (size_t d = 1; d + 1 < shape.size(); ++d) elements *= shape[d];
    return {elements, 1, 1, shape.size() > 1 ? shape.back() : 1};
  }
  const int64_t c = shape[1], h = shape[2], w = shape[3];
  switch (layout) {
    case Layout::kRowMajor:
      return {batch * c, h, w, 1};
    case Layout::kChannelsLast:
      return {batch, h, w, c};
    case Layout::kBlocked16:
      return {batch * Blocks(c), h, w, kBlock};
  }
  return {};
}

int64_t StoredElements(const Shape& shape, int64_t batch, Layout layout) {
  return ViewOf(shape, batch, layout).elements();
}

bool SameBytes(const Shape& shape, Layout a, Layout b) {
  if (a == b || shape.size() != 4) return true;
  const bool point = shape[2] * shape[3] == 1;
  if (a == Layout::kBlocked16 || b == Layout::kBlocked16) {
    return point && shape[1] % kBlock == 0;
  }
  return point || shape[1] == 1;
}

MemoryDesc DescOf(const Shape& shape, int64_t batch, Layout layout,
                  ElementType type) {
  using Tag = dnnl::memory::format_tag;
  if (shape.size() != 4) {
    const View view = ViewOf(shape, batch, layout);
    return MemoryDesc({view.n, view.c}, ToDnnl(type), Tag::ab);
  }
  const Tag tag = layout == Layout::kRowMajor       ? Tag::nchw
                  : layout == Layout::kChannelsLast ? Tag::nhwc
                                                    : Tag::nChw16c;
  return MemoryDesc({batch, shape[1], shape[2], shape[3]}, ToDnnl(type), tag);
}

ByteGrid GridOf(const QuantParams& params, ElementType type) {
  return {params.scale, params.zero_point,
          static_cast<uint8_t>(type == ElementType::kS8 ? 0x80 : 0)};
}

int32_t HeldZeroPoint(const QuantParams& params, ElementType type) {
  return type == ElementType::kS8 ? params.zero_point - 128 : params.zero_point;
}

}  // namespace quantserve::onednn
