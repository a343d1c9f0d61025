// What both ways of the Open Inference Protocol's codec read.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "inference/grpc_service.pb.h"

namespace quantserve {

using OipParameters =
    google::protobuf::Map<std::string, inference::InferParameter>;

// A name from the wire, for a message: escaped, at most 64 bytes of it.
std::string Quoted(const std::string& text);

// The parameter of that name; `otherwise` if there is none. INVALID_ARGUMENT if
// it is no integer.
absl::StatusOr<int64_t> IntegerOf(const OipParameters& parameters,
                                  const char* name, int64_t otherwise);

}  // namespace quantserve
