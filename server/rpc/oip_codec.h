// The Open Inference Protocol's messages as our own, and back.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "inference/grpc_service.pb.h"
#include "quant/engine/engine.h"
#include "quantserve/v1/inference.pb.h"
#include "server/core/inference_statistics.h"

namespace quantserve {

// Fills `out` with what the request says. INVALID_ARGUMENT, naming the input,
// for what has no place in a PredictRequest; what has one is checked where
// PredictRequests are.
absl::Status FromOip(const inference::ModelInferRequest& request,
                     v1::PredictRequest* out);

// What the parameter "timeout" says; infinite without one. INVALID_ARGUMENT if
// it is not a number of microseconds above 0.
absl::Status OipTimeout(const inference::ModelInferRequest& request,
                        absl::Duration* timeout);

// INVALID_ARGUMENT if the request wants an output that the model has not, or
// one of them twice.
absl::Status CheckOipOutputs(const inference::ModelInferRequest& request,
                             const std::vector<TensorSpec>& specs);

// Moves the outputs that the request wants into `out`.
void ToOip(const inference::ModelInferRequest& request,
           v1::PredictResponse* response, inference::ModelInferResponse* out);

// "INT64" for integers, else "FP32".
const char* OipDatatype(const TensorSpec& spec);

void ToOip(const InferenceStatistics::Sums& sums,
           inference::ModelStatistics* out);

}  // namespace quantserve
