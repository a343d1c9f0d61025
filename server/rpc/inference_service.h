// Predict: decode, submit, encode.
#pragma once

#include "quantserve/v1/inference.grpc.pb.h"
#include "server/rpc/call.h"

namespace quantserve {

// Thread-safe. Nothing here runs a model: workers do.
class InferenceServiceImpl final
    : public v1::InferenceService::CallbackService {
 public:
  // `env` outlives the service.
  explicit InferenceServiceImpl(const RpcEnvironment& env) : env_(env) {}

  grpc::ServerUnaryReactor* Predict(grpc::CallbackServerContext* context,
                                    const v1::PredictRequest* request,
                                    v1::PredictResponse* response) override;

 private:
  const RpcEnvironment& env_;
};

}  // namespace quantserve
