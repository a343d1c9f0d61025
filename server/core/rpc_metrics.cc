#include "server/core/rpc_metrics.h"

#include <utility>

#include "prometheus/counter.h"
#include "prometheus/histogram.h"

namespace quantserve {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;

// From 100 us, where a small INT8 model on the loopback lies, to 10 s.
const Buckets& RequestBuckets() {
  static const auto& buckets = *new Buckets{
      1e-4, 2e-4, 3e-4, 5e-4, 7.5e-4, 1e-3, 1.5e-3, 2e-3, 3e-3, 5e-3, 7.5e-3,
      1e-2, 2e-2, 3e-2, 5e-2, 0.1,    0.25, 0.5,    1,    2.5,  5,    10};
  return buckets;
}

const char* VariantLabel(int variant) {
  return variant == kNoVariant ? "none"
                               : VariantName(static_cast<VariantId>(variant));
}

}  // namespace

const char* RpcName(Rpc rpc) {
  static constexpr const char* kNames[] = {
      "Predict",    "Quantize", "GetStatus", "Evaluate", "PredictStream",
      "ModelInfer", "Oip",      "Promote",   "Rollback", "SetRouting"};
  return kNames[static_cast<int>(rpc)];
}

// A registry gives the family that it has to whoever registers it again, so
// that each model's series are added to the same ones.
RpcMetrics::RpcMetrics(prometheus::Registry* registry, std::string model)
    : model_(std::move(model)),
      requests_(&prometheus::BuildCounter()
                     .Name("quantserve_requests_total")
                     .Help("Finished calls.")
                     .Register(*registry)),
      durations_(&prometheus::BuildHistogram()
                      .Name("quantserve_request_duration_seconds")
                      .Help("Time from a call's arrival to its answer.")
                      .Register(*registry)) {}

RpcMetrics::Series& RpcMetrics::Resolve(Rpc rpc, int variant,
                                        absl::StatusCode code) {
  const auto number = static_cast<int>(code);
  Series& series = series_[static_cast<int>(rpc)][variant]
                          [number >= 0 && number < kCodes ? number : 2];
  if (series.duration.load(std::memory_order_acquire) != nullptr) return series;
  MutexLock lock(&mu_);
  const prometheus::Labels labels = {{"model", model_},
                                     {"rpc", RpcName(rpc)},
                                     {"variant", VariantLabel(variant)},
                                     {"code", absl::StatusCodeToString(code)}};
  series.requests.store(&requests_->Add(labels), std::memory_order_release);
  series.duration.store(&durations_->Add(labels, RequestBuckets()),
                        std::memory_order_release);
  return series;
}

void RpcMetrics::Show(Rpc rpc, int variant, absl::StatusCode code) {
  Resolve(rpc, variant, code);
}

void RpcMetrics::Record(Rpc rpc, int variant, absl::StatusCode code,
                        absl::Duration latency) {
  Series& series = Resolve(rpc, variant, code);
  series.requests.load(std::memory_order_acquire)->Increment();
  series.duration.load(std::memory_order_acquire)
      ->Observe(absl::ToDoubleSeconds(latency));
}

}  // namespace quantserve
