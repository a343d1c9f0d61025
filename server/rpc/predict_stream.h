// One PredictStream call: requests come in, replies go out as they are done.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>

#include "quant/base/mutex.h"
#include "quantserve/v1/inference.pb.h"
#include "server/rpc/call.h"
#include "server/rpc/prediction.h"

namespace quantserve {

// Reads on while fewer than `window` requests are unanswered; a reply counts as
// an answer when gRPC has taken it, so that a client that does not read stops
// being read. Each request counts as a call of its own in the metrics. Deletes
// itself. Thread-safe.
class PredictStreamCall final
    : public grpc::ServerBidiReactor<v1::PredictRequest,
                                     v1::PredictStreamReply> {
 public:
  PredictStreamCall(const RpcEnvironment& env,
                    grpc::CallbackServerContext* context, int window);

  // Once, before gRPC gets the reactor.
  void Start();

 private:
  struct Slot {
    uint64_t ticket = 0;
    v1::PredictRequest request;
    v1::PredictStreamReply reply;
    std::unique_ptr<CallScope> scope;
    std::unique_ptr<Prediction> prediction;
  };

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override { delete this; }

  void Serve(Slot* slot);
  void Encode(Slot* slot, const absl::Status& status);
  // Reads, writes or finishes, whatever can be done now; `answered` may be
  // null. The last thing that its callers do with the call: as soon as the
  // answer is in the queue, another thread may write it and end the call.
  void Advance(Slot* answered);

  const RpcEnvironment& env_;
  grpc::CallbackServerContext* const context_;
  WatchedCall watched_;
  const absl::Time deadline_;
  const size_t window_;

  Mutex mu_;
  // Unanswered, the one that is being read into left out.
  std::unordered_map<Slot*, std::unique_ptr<Slot>> slots_ ABSL_GUARDED_BY(mu_);
  std::deque<Slot*> answered_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Slot> reading_ ABSL_GUARDED_BY(mu_);
  Slot* writing_ ABSL_GUARDED_BY(mu_) = nullptr;
  bool half_closed_ ABSL_GUARDED_BY(mu_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace quantserve
