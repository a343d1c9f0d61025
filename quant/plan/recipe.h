// Every decision that turns a float plan into a quantized one. The same float
// plan and the same recipe give the same quantized plan, bit for bit, so a
// recipe is what is kept on disk.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "quant/ranges/range_estimator.h"

namespace quantserve {

// What calibration found out about one value.
struct ValueRange {
  // The interval in both forms; quantization picks one.
  Range affine;
  Range symmetric;  // lo == -hi
};

// By value name, for every value of the float plan.
using RangeMap = std::map<std::string, ValueRange>;

// Cross-layer equalization of two layers with nothing between them but what
// commutes with positive factors: output channel c of `first` is divided by
// factors[c], input channel c of `second` multiplied (Nagel et al. 2019,
// section 4.1). The float plan computes the same function as before.
struct Equalization {
  std::string first, second;   // names of nodes of the float plan
  std::vector<float> factors;  // > 0
};

struct Recipe {
  // 8: weights in [-127, 127]. 7: [-63, 63], for processors without VNNI, whose
  // u8 x s8 products saturate in 16 bits: 255 * 63 * 2 fits, 255 * 127 * 2 does
  // not.
  int weight_bits = 8;
  // Applied first, in this order; `ranges` are those of the equalized plan.
  std::vector<Equalization> equalizations;
  RangeMap ranges;
  // Added to the biases of quantized layers, by node name, one real number for
  // each output channel.
  std::map<std::string, std::vector<float>> bias_shifts;
  // Nodes that stay FP32 though they have an 8-bit form, and why.
  std::map<std::string, std::string> keep_float;
};

}  // namespace quantserve
