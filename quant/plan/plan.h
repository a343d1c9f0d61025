// The model as the product sees it: a list of nodes over values.
//
// A Plan comes in two forms with the same node kinds. In a float plan every
// value is FP32. In a quantized plan some values carry QuantParams and are held
// as 8-bit integers; kQuantize and kDequantize nodes stand where the form
// changes. Every node means the same thing in both forms: compute the real
// function of the real values that the inputs stand for, apply the fused
// clamp, and round once onto the output's grid. quant/plan/reference.h runs
// exactly that; engines run it fast.
//
// Plans are values: build one, Validate() it, then share it as const.
// Thread-compatible.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "quant/plan/island.h"
#include "quant/tensor/tensor.h"

namespace quantserve {

// A u8 grid: real = scale * (q - zero_point), qmin <= q <= qmax.
// Symmetric signed values have zero_point 128: the same numbers as s8 with
// zero point 0, so an engine may hold them as s8 (q - 128).
struct QuantParams {
  float scale = 1;
  int32_t zero_point = 0;

  static constexpr int32_t kMin = 0;
  static constexpr int32_t kMax = 255;

  friend bool operator==(const QuantParams& a, const QuantParams& b) {
    return a.scale == b.scale && a.zero_point == b.zero_point;
  }
};

using ValueId = int32_t;

struct Value {
  std::string name;  // unique within the plan
  // The shape for a batch of one; dimension 0 is the batch and scales with it.
  // The scalar output of a scalar model is [1].
  Shape shape;
  std::optional<QuantParams> quant;  // none: FP32
  // A model input of whole numbers, held as FP32 all the same.
  bool integers = false;

  // Elements of one sample.
  int64_t elements() const;
};

enum class OpKind {
  kQuantize,    // f32 -> u8
  kDequantize,  // u8 -> f32
  // Both may have a second input of the output's shape, added before the clamp
  // (made by quant/plan/passes only, from a product and the kAdd behind it).
  kConv2d,   // [N,C,H,W] -> [N,K,H',W'], weights
  kLinear,   // [N,...,C] -> [N,...,K], weights; acts on the last dimension
  kAdd,      // two inputs of equal shape, or one [N,C,1,1] against [N,C,H,W]
  kMul,      // the same
  kMaxPool,  // [N,C,H,W]; padding counts as -infinity
  kAvgPool,  // [N,C,H,W]
  kReshape,  // row-major elements kept; dimension 0 stays the batch
  kConcat,   // along attrs.axis >= 1
  kSlice,    // per dimension start and step; dimension 0 untouched
  kPermute,  // dimensions in another order; dimension 0 stays first
  kPad,      // constant padding; dimension 0 untouched
  kClamp,    // elementwise, to [lo, hi]: ReLU, ReLU6, hardtanh
  kUnary,    // any other elementwise function of one value
  kIsland,   // run by LibTorch, FP32 in and out
};

// "Conv2d", "Linear", …
const char* OpKindName(OpKind kind);

struct Conv2dAttrs {
  std::array<int64_t, 2> stride{1, 1};
  std::array<int64_t, 2> dilation{1, 1};
  // Zeros added at top, left, bottom, right.
  std::array<int64_t, 4> padding{0, 0, 0, 0};
  int64_t groups = 1;
};

struct PoolAttrs {
  std::array<int64_t, 2> kernel{1, 1};
  std::array<int64_t, 2> stride{1, 1};
  std::array<int64_t, 2> dilation{1, 1};  // kMaxPool only
  // top, left, bottom, right; bottom and right include what ceil_mode adds.
  std::array<int64_t, 4> padding{0, 0, 0, 0};
  // kAvgPool: whether the divisor counts padding (never what ceil_mode adds:
  // the importer leaves such pools to an island).
  bool count_include_pad = false;
};

struct ConcatAttrs {
  int64_t axis = 1;
};

// One entry for each dimension of the input, dimension 0 included.
struct SliceAttrs {
  Shape start;
  Shape step;  // >= 1; the output's shape tells the count
};

// Dimension d of the output is dimension order[d] of the input; order[0] is 0.
struct PermuteAttrs {
  Shape order;
};

struct PadAttrs {
  Shape before;
  Shape after;
  float value = 0;
};

// The table of a quantized unary function: out = table[in].
using UnaryTable = std::array<uint8_t, 256>;

struct UnaryAttrs {
  std::string function;  // "sigmoid", "silu", "hardswish", …
  // The function on FP32, one input and one output of equal size.
  std::shared_ptr<const Island> island;
  std::shared_ptr<const UnaryTable> table;  // quantized plans only
};

struct IslandAttrs {
  std::shared_ptr<const Island> island;
  int64_t macs = 0;  // multiply-accumulates of one sample inside it, if known
};

using Attrs =
    std::variant<std::monostate, Conv2dAttrs, PoolAttrs, ConcatAttrs,
                 SliceAttrs, PermuteAttrs, PadAttrs, UnaryAttrs, IslandAttrs>;

// The constants of kConv2d, [K, C/groups, kh, kw], and kLinear, [K, C].
struct Weights {
  std::shared_ptr<const Tensor> data;  // kF32, or kS8 in a quantized plan
  std::vector<float> scales;           // kS8: one for each output channel
  std::vector<float> bias;             // K real numbers, or empty for none
};

// y = min(max(x, lo), hi).
struct Clamp {
  float lo = 0;
  float hi = std::numeric_limits<float>::infinity();
  bool IsRelu() const {
    return lo == 0 && hi == std::numeric_limits<float>::infinity();
  }
};

struct Node {
  OpKind kind = OpKind::kIsland;
  std::string name;  // of its first output; reports use it
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;  // more than one for kIsland only
  Attrs attrs;
  Weights weights;  // kConv2d, kLinear
  // kClamp: the function itself; kConv2d, kLinear, kAdd: fused behind it.
  std::optional<Clamp> clamp;
};

struct Plan {
  std::vector<Value> values;
  std::vector<Node> nodes;       // in an order in which they can run
  std::vector<ValueId> inputs;   // FP32
  std::vector<ValueId> outputs;  // FP32

  const Value& value(ValueId id) const { return values[id]; }
  // Adds a value and returns its id.
  ValueId AddValue(std::string name, Shape shape,
                   std::optional<QuantParams> quant = std::nullopt);

  // INTERNAL, naming the node, if the plan is not well formed: ids in range,
  // each value written once and before it is read, attributes of the node's
  // kind, shapes that follow from the inputs' shapes, 8-bit and FP32 values
  // where the kind allows them.
  absl::Status Validate() const;

  bool quantized() const;
  // Multiply-accumulate operations of one sample in kConv2d, kLinear and the
  // products inside islands; 0 for other kinds.
  int64_t Macs() const;
  int64_t Macs(const Node& node) const;
  // Bytes of all weights, scales and biases.
  int64_t WeightBytes() const;
  // One line for each node, for logs and tests.
  std::string DebugString() const;
};

// How many nodes read each value; the plan's outputs count as one reader each.
std::vector<int> CountReaders(const Plan& plan);

}  // namespace quantserve
