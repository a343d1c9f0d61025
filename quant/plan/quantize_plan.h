// From a float plan and the ranges of its values to a quantized plan.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/plan/plan.h"
#include "quant/ranges/range_estimator.h"

namespace quantserve {

// What calibration found out about one value.
struct ValueRange {
  // The interval in both forms; quantization picks one.
  Range affine;
  Range symmetric;  // lo == -hi
  // The mean of each input channel of the layers that read the value (of
  // dimension 1 for convolutions, of the last for linear layers); empty if none
  // does. Without it biases are not corrected.
  std::vector<float> channel_mean = {};
};

// By value name, for every value of the float plan.
using RangeMap = std::map<std::string, ValueRange>;

struct QuantizePlanOptions {
  // 8: weights in [-127, 127]. 7: [-63, 63], for processors without VNNI, whose
  // u8 x s8 products saturate in 16 bits: 255 * 63 * 2 fits, 255 * 127 * 2 does
  // not.
  int weight_bits = 8;
  // A signed value is held symmetrically (cheaper to run) if its smaller end
  // reaches this share of its larger one and not only additions read it.
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

// Convolutions and linear layers become 8-bit, and with them every node between
// them that has an 8-bit form; what has none stays FP32 with kQuantize and
// kDequantize around it. Pooling, reshaping, slicing, padding, clamping and
// concatenation keep the grid of their input: all their values share one.
// Scales: activations (hi - lo) / 255, weights max|W_c| / 127 for each output
// channel c. Biases take up the mean error that rounding the weights makes
// (Nagel et al. 2019, section 4.2): b_c -= sum_i (Wq - W)_ci * E[x_i].
// FAILED_PRECONDITION if a range that is needed is missing; INTERNAL if a unary
// function's table cannot be computed.
absl::StatusOr<QuantizedPlan> QuantizePlan(const Plan& plan,
                                           const RangeMap& ranges,
                                           const QuantizePlanOptions& options);

// The grid for `range`: zero is exactly representable. `symmetric` gives
// zero_point 128 and scale max(|lo|, |hi|) / 127.
QuantParams ChooseQuantParams(const Range& range, bool symmetric);

// Symmetric s8 weights, one scale for each index of dimension 0:
// q = round_half_even(w / scale), scale = max|w| / qmax, 1 for all-zero
// channels.
Weights QuantizeWeights(const Weights& weights, int bits);

// Corrects the biases of `quantized`, made from `weights`, for inputs whose
// channels have the means `channel_mean`. With groups, channel i of group g is
// channel_mean[g * channels_per_group + i]. Does nothing if the sizes do not
// fit.
void CorrectBias(const Weights& weights, int64_t groups,
                 const std::vector<float>& channel_mean, Weights* quantized);

}  // namespace quantserve
