// Quantize, GetStatus and Evaluate: check, hand over to the job's thread,
// encode.
#pragma once

#include "quantserve/v1/quantization.grpc.pb.h"
#include "server/rpc/call.h"

namespace quantserve {

// Thread-safe.
class QuantizationServiceImpl final
    : public v1::QuantizationService::CallbackService {
 public:
  // `env` outlives the service.
  explicit QuantizationServiceImpl(const RpcEnvironment& env) : env_(env) {}

  grpc::ServerWriteReactor<v1::QuantizeResponse>* Quantize(
      grpc::CallbackServerContext* context,
      const v1::QuantizeRequest* request) override;
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* request,
                                      v1::GetStatusResponse* response) override;
  grpc::ServerUnaryReactor* Evaluate(grpc::CallbackServerContext* context,
                                     const v1::EvaluateRequest* request,
                                     v1::EvaluateResponse* response) override;

 private:
  const RpcEnvironment& env_;
};

}  // namespace quantserve
