// The outputs of a ModelInfer.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "inference/grpc_service.pb.h"
#include "quant/engine/engine.h"
#include "quantserve/v1/inference.pb.h"

namespace quantserve {

// INVALID_ARGUMENT if the request wants an output that the model has not, or
// one of them twice, or fewer than one class.
absl::Status CheckOipOutputs(const inference::ModelInferRequest& request,
                             const std::vector<TensorSpec>& specs);

// Moves the outputs that the request wants into `out`; of those that it wants
// classified, the classes, with the names of the first output's.
void ToOip(const inference::ModelInferRequest& request,
           const std::vector<std::string>& class_names,
           v1::PredictResponse* response, inference::ModelInferResponse* out);

// Moves the outputs back from where ToOip moved them, once it was sent.
void TakeBack(inference::ModelInferResponse* from,
              v1::PredictResponse* response);

}  // namespace quantserve
