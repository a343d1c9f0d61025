// Quantizing, rolling out, status: check, hand over to the job's thread,
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
  grpc::ServerUnaryReactor* Promote(grpc::CallbackServerContext* context,
                                    const v1::PromoteRequest* request,
                                    v1::PromoteResponse* response) override;
  grpc::ServerUnaryReactor* Rollback(grpc::CallbackServerContext* context,
                                     const v1::RollbackRequest* request,
                                     v1::RollbackResponse* response) override;
  grpc::ServerUnaryReactor* SetRouting(
      grpc::CallbackServerContext* context,
      const v1::SetRoutingRequest* request,
      v1::SetRoutingResponse* response) override;

 private:
  const RpcEnvironment& env_;
};

}  // namespace quantserve
