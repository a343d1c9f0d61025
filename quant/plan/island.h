// A piece of the model that only LibTorch can run, as plans and engines see it.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "quant/tensor/tensor.h"

namespace quantserve {

// Immutable; Run is thread-safe.
class Island {
 public:
  virtual ~Island() = default;

  // The operator's name, e.g. "aten::softmax".
  virtual const std::string& op() const = 0;

  // FP32, row-major, dimension 0 of every shape is the batch. `output_shapes`
  // are what the plan expects; INTERNAL if LibTorch disagrees or throws.
  virtual absl::Status Run(absl::Span<const float* const> inputs,
                           absl::Span<const Shape> input_shapes,
                           absl::Span<float* const> outputs,
                           absl::Span<const Shape> output_shapes) const = 0;
};

}  // namespace quantserve
