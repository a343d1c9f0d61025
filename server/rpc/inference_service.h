// Predict and PredictStream.
#pragma once

#include "quantserve/v1/inference.grpc.pb.h"
#include "server/rpc/call.h"

namespace quantserve {

// Thread-safe. Nothing here runs a model: workers do.
class InferenceServiceImpl final
    : public v1::InferenceService::CallbackService {
 public:
  // `env` outlives the service. `stream_window`: requests of one stream that
  // may be unanswered.
  InferenceServiceImpl(const RpcEnvironment& env, int stream_window)
      : env_(env), stream_window_(stream_window) {}

  grpc::ServerUnaryReactor* Predict(grpc::CallbackServerContext* context,
                                    const v1::PredictRequest* request,
                                    v1::PredictResponse* response) override;

  grpc::ServerBidiReactor<v1::PredictRequest, v1::PredictStreamReply>*
  PredictStream(grpc::CallbackServerContext* context) override;

 private:
  const RpcEnvironment& env_;
  const int stream_window_;
};

}  // namespace quantserve
