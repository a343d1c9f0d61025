// How the engine holds a value in memory.
#pragma once

#include <cstdint>
#include <string>

#include "quant/onednn/dnnl_compat.h"
#include "quant/onednn/kernels.h"
#include "quant/plan/plan.h"

namespace quantserve::onednn {

enum class ElementType : uint8_t { kF32, kBF16, kU8, kS8 };

int64_t ElementBytes(ElementType type);
DnnlType ToDnnl(ElementType type);

// Values of rank 4 come in all of them, others in kRowMajor only.
enum class Layout : uint8_t {
  kRowMajor,
  kChannelsLast,  // [N,H,W,C]
  kBlocked16,     // [N,ceil(C/16),H,W,16], the padding finite
};
const char* LayoutName(Layout layout);

// A value as [n, h, w, c] with c innermost, so that one loop serves all
// layouts: kBlocked16 has 16 channels and n * C/16 images, kRowMajor one
// channel and n * C images.
struct View {
  int64_t n = 1, h = 1, w = 1, c = 1;
  int64_t elements() const { return n * h * w * c; }
};
View ViewOf(const Shape& shape, int64_t batch, Layout layout);

// Elements in memory, channel padding included.
int64_t StoredElements(const Shape& shape, int64_t batch, Layout layout);

// Whether the two hold the same bytes in the same order.
bool SameBytes(const Shape& shape, Layout a, Layout b);

MemoryDesc DescOf(const Shape& shape, int64_t batch, Layout layout,
                  ElementType type);

// Held as s8: a grid with zero point 128.
ByteGrid GridOf(const QuantParams& params, ElementType type);
// The zero point of what is held.
int32_t HeldZeroPoint(const QuantParams& params, ElementType type);

}  // namespace quantserve::onednn
