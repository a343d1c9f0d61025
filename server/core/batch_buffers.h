// A worker's memory for the rows of several requests, side by side.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "server/core/inference.h"

namespace quantserve {

// Grows to the largest batch and stays there. Not thread-safe.
class BatchBuffers {
 public:
  // Aligned floats for the engine: the rows of `requests`, one after the other.
  // A lone request's are used where they lie if they can be. All are of one
  // variant. The pointers are good until the next call.
  absl::Span<const float* const> Pack(
      absl::Span<const InferenceRequest* const> requests);

  // Where the engine is to write the outputs of what was packed: a lone
  // request's own memory, else buffers that Scatter then copies from.
  absl::Span<float* const> Outputs(
      absl::Span<const InferenceRequest* const> requests);
  // Gives each request its rows.
  void Scatter(absl::Span<const InferenceRequest* const> requests) const;

 private:
  std::vector<const float*> in_;
  std::vector<float*> out_;
  std::vector<std::vector<float>> in_rows_;  // one for each input
  std::vector<std::vector<float>> out_rows_;
};

}  // namespace quantserve
