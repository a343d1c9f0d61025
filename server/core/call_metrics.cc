#include "server/core/call_metrics.h"

namespace quantserve {

CallMetrics::CallMetrics(prometheus::Registry* registry) {
  auto& in_flight = prometheus::BuildGauge()
                        .Name("quantserve_calls_in_flight")
                        .Help("Calls that have come and are not over.")
                        .Register(*registry);
  auto& abandoned =
      prometheus::BuildCounter()
          .Name("quantserve_abandoned_calls_total")
          .Help("Calls cancelled because their client took no reply.")
          .Register(*registry);
  for (int i = 0; i < kRpcCount; ++i) {
    const prometheus::Labels labels = {{"rpc", RpcName(static_cast<Rpc>(i))}};
    series_[static_cast<size_t>(i)] = {&in_flight.Add(labels),
                                       &abandoned.Add(labels)};
  }
}

}  // namespace quantserve
