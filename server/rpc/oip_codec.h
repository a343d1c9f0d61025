// The Open Inference Protocol's messages as our own, and back.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "inference/grpc_service.pb.h"
#include "quant/engine/engine.h"
#include "quantserve/v1/inference.pb.h"
#include "server/core/inference_statistics.h"
#include "server/core/variant_id.h"

namespace quantserve {

// The variant that a version names: "2" is "int8"; any other name stays.
std::string VariantOfVersion(const std::string& version);
// What a variant is called by whoever called it `version`, with an empty one
// `otherwise`: its name, or its number.
enum class VersionStyle { kName, kNumber };
std::string VersionOf(VariantId id, const std::string& version,
                      VersionStyle otherwise = VersionStyle::kName);

// Fills `out` with what the request says. INVALID_ARGUMENT, naming the input,
// for what has no place in a PredictRequest; what has one is checked where
// PredictRequests are.
absl::Status FromOip(const inference::ModelInferRequest& request,
                     v1::PredictRequest* out);

// What the parameter "timeout" says; infinite without one. INVALID_ARGUMENT if
// it is not a number of microseconds above 0.
absl::Status OipTimeout(const inference::ModelInferRequest& request,
                        absl::Duration* timeout);

// "INT64" for integers, else "FP32".
const char* OipDatatype(const TensorSpec& spec);

void ToOip(const InferenceStatistics::Sums& sums,
           inference::ModelStatistics* out);

}  // namespace quantserve
