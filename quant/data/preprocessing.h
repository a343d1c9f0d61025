// How raw 8-bit samples become the floats that the model wants.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "quant/tensor/tensor.h"

namespace quantserve {

// x = (raw * scale - mean[c]) / std[c] in single precision, channel c being the
// sample's first dimension. It applies to 8-bit samples only, in shards and in
// requests: float samples are taken as they are.
struct Preprocessing {
  double scale = 1.0 / 255.0;
  std::vector<double> mean;  // empty: 0; one entry: every channel
  std::vector<double> std;   // empty: 1; one entry: every channel

  // INVALID_ARGUMENT if a list's length is neither 0, 1 nor `channels`, a
  // deviation is below 1e-9, or a number is not finite or beyond 1e9.
  absl::Status Validate(int64_t channels) const;
};

// `raw` and `out` hold whole samples of `sample_shape` ([C,H,W], [C] …);
// both have the same number of elements. `preprocessing` must be valid for
// sample_shape[0] channels.
void Preprocess(const Preprocessing& preprocessing,
                absl::Span<const int64_t> sample_shape,
                absl::Span<const uint8_t> raw, absl::Span<float> out);

}  // namespace quantserve
