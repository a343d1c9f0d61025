#include "server/rpc/call_watch.h"

#include <pthread.h>

#include "server/core/steady_clock.h"
#include "spdlog/spdlog.h"

namespace quantserve {

CallWatch::CallWatch(CallMetrics* metrics, absl::Duration patience)
    : metrics_(metrics), patience_(patience), thread_([this] { Loop(); }) {}

CallWatch::~CallWatch() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  stop_.NotifyAll();
  thread_.join();
}

void CallWatch::Loop() {
  pthread_setname_np(pthread_self(), "call-watch");
  MutexLock lock(&mu_);
  while (!stopping_) {
    stop_.WaitFor(&mu_, patience_ / 4);
    const int64_t limit = absl::ToUnixNanos(SteadyNow() - patience_);
    while (!stopping_ && CancelOne(limit)) {
    }
  }
}

bool CallWatch::CancelOne(int64_t limit) {
  for (WatchedCall* call : calls_) {
    if (call->sending_since_ > limit) continue;
    call->Sent();  // once is enough
    metrics_->Abandon(call->rpc_);
    spdlog::debug("{} from {}: cancelled, its client has taken no reply for {}",
                  RpcName(call->rpc_), call->context_->peer(),
                  absl::FormatDuration(patience_));
    // Under the lock: the call's destructor, and with it the end of the
    // context, waits for it.
    cancelling_ = std::this_thread::get_id();
    call->context_->TryCancel();
    cancelling_ = std::thread::id();
    return true;
  }
  return false;
}

CallWatch::Calls::iterator CallWatch::Add(WatchedCall* call) {
  metrics_->Begin(call->rpc_);
  MutexLock lock(&mu_);
  return calls_.insert(calls_.end(), call);
}

void CallWatch::Remove(Calls::iterator at) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  metrics_->End((*at)->rpc_);
  if (cancelling_ == std::this_thread::get_id()) {
    calls_.erase(at);
    return;
  }
  MutexLock lock(&mu_);
  calls_.erase(at);
}

WatchedCall::WatchedCall(CallWatch* watch, Rpc rpc,
                         grpc::CallbackServerContext* context)
    : watch_(watch), rpc_(rpc), context_(context), at_(watch->Add(this)) {}

WatchedCall::~WatchedCall() { watch_->Remove(at_); }

void WatchedCall::Sending() { sending_since_ = absl::ToUnixNanos(SteadyNow()); }

}  // namespace quantserve
