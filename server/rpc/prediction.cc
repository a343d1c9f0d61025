#include "server/rpc/prediction.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "quant/base/status_macros.h"
#include "server/core/steady_clock.h"
#include "server/rpc/tensor_codec.h"
#include "server/rpc/wire_time.h"

namespace quantserve {
namespace {

constexpr size_t kLongestId = 256;

absl::Status CheckHints(const v1::PredictRequest& request) {
  if (request.priority() < kLowestPriority ||
      request.priority() > kHighestPriority) {
    return absl::InvalidArgumentError(
        absl::StrCat("priority is ", request.priority(), ", want ",
                     kLowestPriority, " to ", kHighestPriority));
  }
  if (request.id().size() > kLongestId) {
    return absl::InvalidArgumentError(absl::StrCat(
        "id has ", request.id().size(), " bytes, want at most ", kLongestId));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Time DeadlineOf(const grpc::CallbackServerContext& context) {
  const auto deadline = context.deadline();
  // Without one gRPC gives the end of time.
  if (deadline > std::chrono::system_clock::now() + std::chrono::hours(24)) {
    return absl::InfiniteFuture();
  }
  return SteadyNow() + (absl::FromChrono(deadline) - absl::Now());
}

absl::Status Prediction::Fill(CallScope* scope, InferenceRequest* inference) {
  scope->set_id(&request_->id());
  QS_ASSIGN_OR_RETURN(model_, scope->FindModel(request_->model()));
  QS_ASSIGN_OR_RETURN(inference->variant,
                      model_->registry().Find(request_->variant()));
  variant_ = inference->variant->id;
  scope->set_variant(variant_);
  QS_RETURN_IF_ERROR(CheckHints(*request_));
  const Engine& engine = inference->variant->engine();
  // The model's own, not the engine's: a quantized plan may call its values by
  // other names.
  const ModelInfo& info = model_->info();
  const Preprocessing& preprocessing = model_->config().model.preprocessing;
  QS_ASSIGN_OR_RETURN(
      DecodedInputs inputs,
      DecodeInputs(*request_, info.inputs, preprocessing, engine.max_batch()));
  QS_RETURN_IF_ERROR(CheckTopK(request_->top_k(), info.outputs));
  response_->set_model(model_->name());
  response_->set_variant(inference->variant->name());
  response_->set_generation(inference->variant->generation);
  response_->set_id(request_->id());
  batch_ = inputs.batch;
  inference->batch = inputs.batch;
  inference->preprocessing = &preprocessing;
  inference->inputs = std::move(inputs.inputs);
  inference->outputs = MakeOutputs(info.outputs, batch_, response_);
  inference->priority = request_->priority();
  return absl::OkStatus();
}

absl::Status Prediction::Start(CallScope* scope, absl::Time deadline,
                               Done done) {
  InferenceRequest inference;
  absl::Status status = Fill(scope, &inference);
  if (status.ok()) {
    inference.deadline = deadline;
    inference.ticket = ticket_;
    status = env_.pool->Submit(
        std::move(inference),
        [this, done = std::move(done)](const InferenceResult& result) {
          done(Answer(result));
        });
    // Taken: this may be gone.
    if (status.ok()) return status;
  }
  response_->Clear();
  return status;
}

absl::Status Prediction::Answer(const InferenceResult& result) {
  if (!result.status.ok()) {
    model_->metrics().RecordFailure(variant_, result.queue + result.compute);
    response_->Clear();
    return result.status;
  }
  shadowed_ = model_->shadow().Wants();
  model_->metrics().RecordInference(variant_, batch_, result.queue,
                                    result.compute);
  ToWire(result.queue, response_->mutable_queue_time());
  ToWire(result.compute, response_->mutable_compute_time());
  response_->set_batch_size(result.batch_size);
  if (request_->top_k() > 0) {
    const std::string& first = response_->outputs(0).data();
    AddTopK({reinterpret_cast<const float*>(first.data()),
             first.size() / sizeof(float)},
            batch_, request_->top_k(), model_->class_names(), response_);
  }
  return absl::OkStatus();
}

void Prediction::AfterAnswer() {
  if (!shadowed_) return;
  const ModelInfo& info = model_->info();
  const Preprocessing& preprocessing = model_->config().model.preprocessing;
  // Pointers into the request anew: the worker has the first ones.
  const auto decoded =
      DecodeInputs(*request_, info.inputs, preprocessing, batch_);
  if (!decoded.ok()) return;
  AnsweredRequest answered{variant_, response_->generation(), batch_,
                           &preprocessing};
  for (const v1::Tensor& tensor : request_->inputs()) {
    answered.input_bytes += static_cast<int64_t>(tensor.data().size());
  }
  model_->shadow().Submit(
      answered, [&](std::vector<ShadowInput>* inputs, std::string* answer) {
        for (size_t i = 0; i < decoded->inputs.size(); ++i) {
          const InferenceInput& input = decoded->inputs[i];
          const auto bytes = static_cast<size_t>(
              batch_ * info.inputs[i].elements() * DTypeSize(input.dtype));
          inputs->push_back(
              {input.dtype, {static_cast<const char*>(input.data), bytes}});
        }
        *answer = response_->outputs(0).data();
      });
}

}  // namespace quantserve
