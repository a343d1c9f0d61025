// From a float plan and a recipe to a quantized plan.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/plan/plan.h"
#include "quant/plan/recipe.h"
#include "quant/ranges/range_estimator.h"

namespace quantserve {

struct QuantizePlanOptions {
  // A signed value is held symmetrically (cheaper to run) if its smaller end
  // reaches this share of its larger one and a convolution or linear layer
  // reads it.
  double symmetric_share = 0.5;
};

// What became of one node of the float plan.
struct NodeOutcome {
  std::string name;
  OpKind kind = OpKind::kIsland;
  std::string op;  // the kind's name, or the operator's for islands
  bool quantized = false;
  std::string reason;  // why it stayed FP32
};

struct QuantizedPlan {
  Plan plan;
  std::vector<NodeOutcome> outcomes;  // one for each node of the float plan
};

// Equalizes the plan as the recipe says; then convolutions and linear layers
// become 8-bit, and with them every node between them that has an 8-bit form.
// What has none, and what the recipe keeps in FP32, stays FP32 with kQuantize
// and kDequantize around it; an 8-bit layer that only such nodes read writes
// FP32 itself where the recipe keeps one of them. Pooling, reshaping, slicing,
// padding, clamping and concatenation keep the grid of their input: all their
// values share one. Scales: activations (hi - lo) / 255, weights max|W_c| / 127
// for each output channel c. Equal arguments give equal plans, bit for bit.
// FAILED_PRECONDITION if a range that is needed is missing; INVALID_ARGUMENT,
// naming it, for a part of the recipe that does not fit the plan: a layer that
// is not there, an equalization that is not exact, shifts of another size;
// INTERNAL if a unary function's table cannot be computed.
absl::StatusOr<QuantizedPlan> QuantizePlan(const Plan& plan,
                                           const Recipe& recipe,
                                           const QuantizePlanOptions& options);

// The grid for `range`: zero is exactly representable. `symmetric` gives
// zero_point 128 and scale max(|lo|, |hi|) / 127.
QuantParams ChooseQuantParams(const Range& range, bool symmetric);

// Symmetric s8 weights, one scale for each index of dimension 0:
// q = round_half_even(w / scale), scale = max|w| / qmax, 1 for all-zero
// channels.
Weights QuantizeWeights(const Weights& weights, int bits);

}  // namespace quantserve
