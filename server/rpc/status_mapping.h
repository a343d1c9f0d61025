// The one place where our statuses become gRPC's.
#pragma once

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace quantserve {

// The codes are the same. The message goes out as it is, but for INTERNAL,
// UNKNOWN and DATA_LOSS: those are our faults and may name paths or pointers,
// so the log keeps the message and the caller gets a number to find it by. Of a
// message that repeats something long, the first 2 KiB.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace quantserve
