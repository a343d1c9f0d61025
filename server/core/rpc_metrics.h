// Calls, counted: one series for each RPC, variant and code of one model.
#pragma once

#include <array>
#include <atomic>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "prometheus/registry.h"
#include "quant/base/mutex.h"
#include "server/core/variant.h"

namespace quantserve {

enum class Rpc {
  kPredict,
  kQuantize,
  kGetStatus,
  kEvaluate,
  kPredictStream,
  kModelInfer,
  kOip,  // the Open Inference Protocol's other calls
  kPromote,
  kRollback,
  kSetRouting,
};
inline constexpr int kRpcCount = 10;
// "Predict", …
const char* RpcName(Rpc rpc);

// The variant label of a call that never got as far as having one: "none".
inline constexpr int kNoVariant = kVariantCount;

// Thread-safe. Recording a call touches only series that were resolved before;
// a series appears in the scrape when it is first recorded.
class RpcMetrics {
 public:
  // `model` is the label. The registry outlives this.
  RpcMetrics(prometheus::Registry* registry, std::string model);
  RpcMetrics(const RpcMetrics&) = delete;
  RpcMetrics& operator=(const RpcMetrics&) = delete;

  // `variant` is a VariantId's number or kNoVariant.
  void Record(Rpc rpc, int variant, absl::StatusCode code,
              absl::Duration latency);
  // Shows the series at 0, so that rates start with the first call.
  void Show(Rpc rpc, int variant, absl::StatusCode code);

 private:
  static constexpr int kCodes = 17;  // OK … UNAUTHENTICATED
  struct Series {
    std::atomic<prometheus::Counter*> requests{nullptr};
    std::atomic<prometheus::Histogram*> duration{nullptr};
  };
  Series& Resolve(Rpc rpc, int variant, absl::StatusCode code);

  const std::string model_;
  prometheus::Family<prometheus::Counter>* const requests_;
  prometheus::Family<prometheus::Histogram>* const durations_;
  Mutex mu_;  // guards the making of series, not their use
  Series series_[kRpcCount][kVariantCount + 1][kCodes];
};

}  // namespace quantserve
