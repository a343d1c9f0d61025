// The Open Inference Protocol, version 2: Predict under other names.
#pragma once

#include "inference/grpc_service.grpc.pb.h"
#include "server/rpc/call.h"

namespace quantserve {

// Thread-safe.
class OipServiceImpl final
    : public inference::GRPCInferenceService::CallbackService {
 public:
  // `env` outlives the service.
  explicit OipServiceImpl(const RpcEnvironment& env) : env_(env) {}

#define QS_OIP(name)                                                      \
  grpc::ServerUnaryReactor* name(grpc::CallbackServerContext* context,    \
                                 const inference::name##Request* request, \
                                 inference::name##Response* response) override
  QS_OIP(ServerLive);
  QS_OIP(ServerReady);
  QS_OIP(ModelReady);
  QS_OIP(ServerMetadata);
  QS_OIP(ModelMetadata);
  QS_OIP(ModelInfer);
  QS_OIP(ModelConfig);
  QS_OIP(ModelStatistics);
  QS_OIP(RepositoryIndex);
#undef QS_OIP

 private:
  const RpcEnvironment& env_;
};

}  // namespace quantserve
