// A call of any method with any bytes as its message: what no stub sends.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "grpcpp/channel.h"
#include "grpcpp/support/status.h"

namespace quantserve::testing {

// `method` is "/package.Service/Method"; what the server answers is not kept.
grpc::Status CallWithBytes(
    const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
    const std::string& bytes,
    const std::map<std::string, std::string>& metadata = {});

}  // namespace quantserve::testing
