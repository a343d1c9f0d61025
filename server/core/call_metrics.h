// Calls that are not over yet, and those that their clients left hanging.
#pragma once

#include <array>

#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/registry.h"
#include "server/core/rpc_metrics.h"

namespace quantserve {

// Thread-safe; a few atomic operations for each call.
class CallMetrics {
 public:
  // The registry outlives this.
  explicit CallMetrics(prometheus::Registry* registry);
  CallMetrics(const CallMetrics&) = delete;
  CallMetrics& operator=(const CallMetrics&) = delete;

  // A call came; a stream is one call, however many messages it carries.
  void Begin(Rpc rpc) { of(rpc).in_flight->Increment(); }
  // It is over and nothing of it is left.
  void End(Rpc rpc) { of(rpc).in_flight->Decrement(); }
  // It was cancelled because its client took no reply.
  void Abandon(Rpc rpc) { of(rpc).abandoned->Increment(); }

 private:
  struct Series {
    prometheus::Gauge* in_flight = nullptr;
    prometheus::Counter* abandoned = nullptr;
  };
  Series& of(Rpc rpc) { return series_[static_cast<size_t>(rpc)]; }

  std::array<Series, kRpcCount> series_;
};

}  // namespace quantserve
