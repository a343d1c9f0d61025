// One Quantize call: a stream of progress, then the result.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "quantserve/v1/quantization.pb.h"
#include "server/rpc/call.h"
#include "server/rpc/job_cancel.h"

namespace quantserve {

// Progress comes from the job's thread faster than a slow reader takes it:
// only the latest is kept. Deletes itself. Thread-safe.
class QuantizeCall final
    : public grpc::ServerWriteReactor<v1::QuantizeResponse> {
 public:
  QuantizeCall(const RpcEnvironment& env, grpc::CallbackServerContext* context)
      : env_(env),
        watched_(env.watch, Rpc::kQuantize, context),
        scope_(Rpc::kQuantize, env, context) {}

  // Once, before gRPC gets the reactor.
  void Start(const v1::QuantizeRequest& request);

 private:
  absl::Status StartJob(const v1::QuantizeRequest& request);
  void OnProgress(const Progress& progress);
  void OnJobDone(const QuantizationRun& run);

  void OnWriteDone(bool ok) override;
  void OnCancel() override { cancel_.Cancel(); }
  void OnDone() override { delete this; }

  // Makes the change, under the lock; then writes what waits, or finishes the
  // call, unless a write is under way. The last thing that its callers do with
  // the call: another thread may see the change and end it.
  void Advance(const std::function<void()>& change);
  void End(const absl::Status& status);

  const RpcEnvironment& env_;
  WatchedCall watched_;
  CallScope scope_;
  ModelHost* model_ = nullptr;  // set by Start
  // The job's shared_ptr keeps nothing of the call, and the call ends only
  // after the job's `done`: neither outlives what it uses.
  JobCancel cancel_;

  Mutex mu_;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool broken_ ABSL_GUARDED_BY(mu_) = false;  // the reader is gone
  std::optional<v1::QuantizeResponse> next_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);
  v1::QuantizeResponse current_;  // what is being written
};

}  // namespace quantserve
