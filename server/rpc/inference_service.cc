#include "server/rpc/inference_service.h"

#include "server/rpc/predict_stream.h"
#include "server/rpc/prediction.h"

namespace quantserve {
namespace {

class PredictCall final : public UnaryCall {
 public:
  PredictCall(const RpcEnvironment& env, grpc::CallbackServerContext* context,
              const v1::PredictRequest* request, v1::PredictResponse* response)
      : UnaryCall(Rpc::kPredict, env, context),
        env_(env),
        ticket_(env.pool->NewTicket()),
        prediction_(env, request, response, ticket_) {}

  void Start(absl::Time deadline) {
    absl::Status started = scope().admission();
    if (started.ok()) {
      started = prediction_.Start(
          &scope(), deadline,
          [this](const absl::Status& status) { Complete(status); });
    }
    if (!started.ok()) Complete(started);
  }

 private:
  void OnCancel() override { env_.pool->Cancel(ticket_); }
  // OnDone is short, but for shadows. gRPC asks this, of its own reactors as of
  // ours, and would else hand the end of each call to another thread, at a
  // tenth of what it spends on a call. A version that does not ask only costs
  // that again.
  bool InternalInlineable() override { return !prediction_.shadowed(); }
  void OnDone() override {
    prediction_.AfterAnswer();
    delete this;
  }

  const RpcEnvironment& env_;
  const uint64_t ticket_;
  Prediction prediction_;
};

}  // namespace

grpc::ServerUnaryReactor* InferenceServiceImpl::Predict(
    grpc::CallbackServerContext* context, const v1::PredictRequest* request,
    v1::PredictResponse* response) {
  auto* call = new PredictCall(env_, context, request, response);
  call->Start(DeadlineOf(*context));
  return call;
}

grpc::ServerBidiReactor<v1::PredictRequest, v1::PredictStreamReply>*
InferenceServiceImpl::PredictStream(grpc::CallbackServerContext* context) {
  auto* call = new PredictStreamCall(env_, context, stream_window_);
  call->Start();
  return call;
}

}  // namespace quantserve
