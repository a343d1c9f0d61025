#include "server/rpc/inference_service.h"

#include <utility>

#include "quant/base/status_macros.h"
#include "server/rpc/tensor_codec.h"
#include "server/rpc/wire_time.h"

namespace quantserve {
namespace {

class PredictCall final : public UnaryCall {
 public:
  PredictCall(const RpcEnvironment& env, grpc::CallbackServerContext* context,
              const v1::PredictRequest* request, v1::PredictResponse* response)
      : UnaryCall(Rpc::kPredict, env, context),
        env_(env),
        request_(request),
        response_(response) {}

  void Start() {
    const absl::Status submitted = Submit();
    // Taken: a worker completes the call, perhaps already has.
    if (!submitted.ok()) {
      response_->Clear();
      Complete(submitted);
    }
  }

 private:
  absl::Status Submit() {
    QS_RETURN_IF_ERROR(scope().admission());
    QS_ASSIGN_OR_RETURN(model_, scope().FindModel(request_->model()));
    InferenceRequest inference;
    QS_ASSIGN_OR_RETURN(inference.variant,
                        model_->registry().Find(request_->variant()));
    variant_ = inference.variant->id;
    scope().set_variant(variant_);
    const Engine& engine = inference.variant->engine();
    QS_ASSIGN_OR_RETURN(
        DecodedInputs inputs,
        DecodeInputs(*request_, engine.inputs(),
                     model_->config().model.preprocessing, engine.max_batch()));
    QS_RETURN_IF_ERROR(CheckTopK(request_->top_k(), engine.outputs()));
    response_->set_model(model_->name());
    response_->set_variant(inference.variant->name());
    response_->set_generation(inference.variant->generation);
    batch_ = inputs.batch;
    inference.batch = inputs.batch;
    inference.inputs = std::move(inputs.inputs);
    inference.outputs = MakeOutputs(engine.outputs(), batch_, response_);
    inference.preprocessing = &model_->config().model.preprocessing;
    return env_.pool->Submit(
        std::move(inference),
        [this](const InferenceResult& result) { Answer(result); });
  }

  // On a worker's thread.
  void Answer(const InferenceResult& result) {
    if (result.status.ok()) {
      model_->metrics().RecordInference(variant_, batch_, result.queue,
                                        result.compute);
      ToWire(result.queue, response_->mutable_queue_time());
      ToWire(result.compute, response_->mutable_compute_time());
      if (request_->top_k() > 0) {
        const std::string& first = response_->outputs(0).data();
        AddTopK({reinterpret_cast<const float*>(first.data()),
                 first.size() / sizeof(float)},
                batch_, request_->top_k(), model_->class_names(), response_);
      }
    } else {
      response_->Clear();
    }
    Complete(result.status);
  }

  const RpcEnvironment& env_;
  const v1::PredictRequest* const request_;
  v1::PredictResponse* const response_;
  ModelHost* model_ = nullptr;
  VariantId variant_ = VariantId::kFp32;
  int64_t batch_ = 0;
};

}  // namespace

grpc::ServerUnaryReactor* InferenceServiceImpl::Predict(
    grpc::CallbackServerContext* context, const v1::PredictRequest* request,
    v1::PredictResponse* response) {
  auto* call = new PredictCall(env_, context, request, response);
  call->Start();
  return call;
}

}  // namespace quantserve
