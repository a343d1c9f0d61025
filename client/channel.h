// Connections, for those that need more than Client gives.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "client/client.h"
#include "grpcpp/channel.h"
#include "grpcpp/support/status.h"

namespace quantserve {

// A connection of its own: two channels to one target never share it. Connects
// when first needed.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& target,
                                           const ClientOptions& options);

// The same code and message.
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace quantserve
