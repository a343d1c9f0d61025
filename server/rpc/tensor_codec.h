// Tensors between the wire and the workers. Everything that comes in is checked
// before it is used; nothing is copied.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "quant/data/preprocessing.h"
#include "quant/engine/engine.h"
#include "quantserve/v1/inference.pb.h"
#include "server/core/inference.h"

namespace quantserve {

struct DecodedInputs {
  int64_t batch = 0;
  // In the model's order, pointing into the request.
  absl::InlinedVector<InferenceInput, 2> inputs;
};

// INVALID_ARGUMENT, naming the input, as the wire contract says.
absl::StatusOr<DecodedInputs> DecodeInputs(const v1::PredictRequest& request,
                                           const std::vector<TensorSpec>& specs,
                                           const Preprocessing& preprocessing,
                                           int64_t max_batch);

// Adds an output for each spec to the response, sized for `batch` samples, and
// returns where their elements go.
absl::InlinedVector<float*, 2> MakeOutputs(const std::vector<TensorSpec>& specs,
                                           int64_t batch,
                                           v1::PredictResponse* response);

// INVALID_ARGUMENT unless 0 <= top_k <= elements of a sample's first output.
absl::Status CheckTopK(int32_t top_k, const std::vector<TensorSpec>& specs);

// Adds the `k` largest of each sample's row of `outputs`; NaN is the smallest.
// `names` is empty or has a name for each element of a row.
void AddTopK(absl::Span<const float> outputs, int64_t batch, int32_t k,
             const std::vector<std::string>& names,
             v1::PredictResponse* response);

}  // namespace quantserve
