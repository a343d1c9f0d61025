// No call outlives its client's interest: counts the calls that there are and
// ends those whose replies nobody takes.
//
//   CallWatch watch(&metrics.calls(), absl::Minutes(1));
//   WatchedCall call(&watch, Rpc::kPredict, context);  // lives in the reactor
//   call.Sending();                                    // then Finish
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <thread>

#include "absl/time/time.h"
#include "grpcpp/server_context.h"
#include "quant/base/mutex.h"
#include "server/core/call_metrics.h"

namespace quantserve {

class WatchedCall;

// gRPC lets a reply wait for ever for a client that keeps its connection up and
// reads nothing. This cancels such calls. Thread-safe.
class CallWatch {
 public:
  // A call ends when a reply of its has waited for `patience` or, as it is only
  // looked at now and then, for a quarter more.
  CallWatch(CallMetrics* metrics, absl::Duration patience);
  // All calls are over.
  ~CallWatch();
  CallWatch(const CallWatch&) = delete;
  CallWatch& operator=(const CallWatch&) = delete;

 private:
  friend class WatchedCall;
  using Calls = std::list<WatchedCall*>;

  Calls::iterator Add(WatchedCall* call);
  void Remove(Calls::iterator at);
  void Loop();
  // Cancels one call whose reply has waited since before `limit`, an
  // absl::ToUnixNanos on the steady clock; false if there is none.
  bool CancelOne(int64_t limit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  CallMetrics* const metrics_;
  const absl::Duration patience_;
  Mutex mu_;
  CondVar stop_;
  Calls calls_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  // The thread that cancels a call right now, under the lock: gRPC may run the
  // call's last callbacks, and so its destructor, on that same thread.
  std::atomic<std::thread::id> cancelling_{};
  std::thread thread_;  // last: it uses the rest
};

// One call, as a member of its reactor, so that it goes in OnDone: until that
// returns the context is there to be cancelled. Thread-safe.
class WatchedCall {
 public:
  WatchedCall(CallWatch* watch, Rpc rpc, grpc::CallbackServerContext* context);
  ~WatchedCall();
  WatchedCall(const WatchedCall&) = delete;
  WatchedCall& operator=(const WatchedCall&) = delete;

  // A reply is about to be handed to gRPC, the call's last one too.
  void Sending();
  // gRPC has sent it.
  void Sent() { sending_since_ = kNothing; }

 private:
  friend class CallWatch;
  static constexpr int64_t kNothing = INT64_MAX;

  CallWatch* const watch_;
  const Rpc rpc_;
  grpc::CallbackServerContext* const context_;
  std::atomic<int64_t> sending_since_{kNothing};
  CallWatch::Calls::iterator at_;
};

}  // namespace quantserve
