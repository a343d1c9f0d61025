// Cross-layer equalization (Nagel et al. 2019, section 4.1): scale is moved
// from a layer's output channels to the next layer's input channels, so that
// one grid fits all channels. The function stays what it was, up to the
// rounding of FP32. Thread-safe.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "quant/plan/plan.h"
#include "quant/plan/recipe.h"

namespace quantserve {

// Two layers between which scale can be moved: indices into plan.nodes.
struct LayerPair {
  size_t first = 0, second = 0;
  int64_t channels = 0;  // outputs of `first`, inputs of `second`
};

// All pairs of kConv2d, or of kLinear, or a kConv2d with a kLinear behind it,
// with nothing between them but what commutes with positive factors for each
// channel (ReLU, pooling, zero padding, slices in space, flattening of 1 x 1
// maps), and no other reader of anything between. In the order of the plan.
// Clamps that are no ReLU do not commute and end a chain.
std::vector<LayerPair> EqualizablePairs(const Plan& plan);

// Applies `equalizations` in order. INVALID_ARGUMENT, naming the layers, for
// two that are not such a pair, for a wrong number of factors, and for a factor
// that is not a positive finite number.
absl::StatusOr<Plan> Equalize(Plan plan,
                              const std::vector<Equalization>& equalizations);

// The largest magnitude among the weights of each output channel, and of each
// input channel, of a kConv2d or kLinear in FP32.
std::vector<float> OutputRanges(const Node& node);
std::vector<float> InputRanges(const Node& node);

}  // namespace quantserve
