// The arithmetic of quant/plan/reference.cc: each operator on doubles.
#pragma once

#include <cstdint>
#include <vector>

#include "quant/plan/plan.h"
#include "quant/tensor/tensor.h"

namespace quantserve::reference {

// Real numbers, row-major: scale * data[i]. For an 8-bit value `data` holds the
// whole numbers q - zero_point and `scale` the grid's, so that sums of products
// stay exact; otherwise `scale` is 1.
struct Reals {
  Shape shape;
  std::vector<double> data;
  double scale = 1;

  double at(int64_t i) const { return scale * data[i]; }
};

Reals Decode(const Tensor& tensor, const std::optional<QuantParams>& quant);
// The one rounding; `clamp` comes first.
Tensor Encode(const Reals& reals, const std::optional<Clamp>& clamp,
              const std::optional<QuantParams>& quant);

// `out` comes with its shape set and its data allocated.
void Conv2d(const Node& node, const Reals& in, Reals* out);
void Linear(const Node& node, const Reals& in, Reals* out);
// kAdd and kMul.
void Binary(OpKind kind, const Reals& a, const Reals& b, Reals* out);
// kMaxPool and kAvgPool.
void Pool(OpKind kind, const PoolAttrs& attrs, const Reals& in, Reals* out);
void Concat(int64_t axis, const std::vector<Reals>& ins, Reals* out);
void Slice(const SliceAttrs& attrs, const Reals& in, Reals* out);
void Permute(const PermuteAttrs& attrs, const Reals& in, Reals* out);
void Pad(const PadAttrs& attrs, const Reals& in, Reals* out);

}  // namespace quantserve::reference
