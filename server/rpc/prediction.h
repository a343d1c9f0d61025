// One request of Predict or PredictStream, from its message to its answer.
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "quantserve/v1/inference.pb.h"
#include "server/rpc/call.h"

namespace quantserve {

// Not thread-safe.
class Prediction {
 public:
  // What the request came to; after anything but OK the response is empty.
  // Called once, from a thread of the scheduler's or from whoever cancels.
  using Done = std::function<void(const absl::Status&)>;

  // Everything is kept until `done` has been called. `ticket` is what it may be
  // cancelled by, see Scheduler.
  Prediction(const RpcEnvironment& env, const v1::PredictRequest* request,
             v1::PredictResponse* response, uint64_t ticket)
      : env_(env), request_(request), response_(response), ticket_(ticket) {}

  // Checks the request and submits it. OK: `done` is called, perhaps already
  // has been, and this may be gone. Else it never is. The scope is told of
  // model and variant. `deadline` is on the steady clock.
  absl::Status Start(CallScope* scope, absl::Time deadline, Done done);

  // Once gRPC has sent the answer, or done has not been called with OK: hands
  // the request to the model's shadows, if it is their turn.
  void AfterAnswer();
  bool shadowed() const { return shadowed_; }

 private:
  absl::Status Fill(CallScope* scope, InferenceRequest* inference);
  absl::Status Answer(const InferenceResult& result);

  const RpcEnvironment& env_;
  const v1::PredictRequest* const request_;
  v1::PredictResponse* const response_;
  const uint64_t ticket_;
  ModelHost* model_ = nullptr;
  VariantId variant_ = VariantId::kFp32;
  int64_t batch_ = 0;
  bool shadowed_ = false;
};

// When the call's time is over, on the steady clock.
absl::Time DeadlineOf(const grpc::CallbackServerContext& context);

}  // namespace quantserve
