// The metrics of one model, told apart by the label `model`.
#pragma once

#include <array>
#include <string>

#include "absl/time/time.h"
#include "prometheus/counter.h"
#include "prometheus/registry.h"
#include "quant/base/mutex.h"
#include "quant/eval/gate.h"
#include "quant/report/quantization_report.h"
#include "server/core/drop.h"
#include "server/core/inference_statistics.h"
#include "server/core/rpc_metrics.h"
#include "server/core/shadow_metrics.h"
#include "server/core/variant.h"

namespace quantserve {

enum class RunResult {
  kPublished,
  kDryRun,
  kRefused,
  kCancelled,
  kFailed,
  kHeld
};
inline constexpr int kRunResultCount = 6;
// "published", "dry_run", …
const char* RunResultName(RunResult result);

// Thread-safe.
class ModelMetrics {
 public:
  // The registry outlives this.
  ModelMetrics(prometheus::Registry* registry, const std::string& model);
  ModelMetrics(const ModelMetrics&) = delete;
  ModelMetrics& operator=(const ModelMetrics&) = delete;

  RpcMetrics& rpcs() { return rpcs_; }
  ShadowMetrics& shadows() { return shadows_; }

  void RecordInference(VariantId variant, int64_t samples, absl::Duration queue,
                       absl::Duration compute);

  // A batch was run; nobody wanted `unwanted` of its samples any more when it
  // began.
  void RecordBatch(VariantId variant, int64_t samples, int64_t unwanted,
                   absl::Duration compute);
  void RecordDrop(VariantId variant, Drop reason);
  // A request of a known variant got no answer.
  void RecordFailure(VariantId variant, absl::Duration took);

  const InferenceStatistics& statistics(VariantId variant) const {
    return statistics_[static_cast<size_t>(variant)];
  }

  // What the gate asks of an INT8 variant.
  void SetGate(const GateOptions& gate);
  // Shows what was just published.
  void SetVariant(const ServedVariant& variant);

  // A generation came into memory, and has left it: the one that is served,
  // those kept aside, and those that requests still run on.
  void AddGeneration(VariantId id) {
    variant_[static_cast<size_t>(id)].generations->Increment();
  }
  void RemoveGeneration(VariantId id) {
    variant_[static_cast<size_t>(id)].generations->Decrement();
  }

  // What is held and how requests are routed, in percent for INT8; generation
  // 0: nothing is held.
  void SetRollout(int64_t candidate_generation, int int8_percent);
  void RecordPromotion() { promotions_->Increment(); }
  void RecordRollback() { rollbacks_->Increment(); }

  // `report` is null if the run did not get as far as having one.
  void RecordQuantization(RunResult result, const QuantizationReport* report);

 private:
  struct VariantSeries {
    prometheus::Counter* samples = nullptr;
    prometheus::Histogram* queue = nullptr;
    prometheus::Histogram* compute = nullptr;
    prometheus::Histogram* batch = nullptr;
    prometheus::Counter* unwanted = nullptr;
    prometheus::Counter* worker_seconds = nullptr;
    std::array<prometheus::Counter*, kDropCount> drops = {};
    prometheus::Gauge* ready = nullptr;
    prometheus::Gauge* generation = nullptr;
    prometheus::Gauge* generations = nullptr;
    prometheus::Gauge* size = nullptr;
    prometheus::Gauge* weights = nullptr;
    prometheus::Gauge* contexts = nullptr;
    // Made when there is such a number, removed when there is none.
    prometheus::Gauge* accuracy = nullptr;
    prometheus::Gauge* agreement = nullptr;
    prometheus::Gauge* sqnr = nullptr;
    prometheus::Gauge* latency_p50 = nullptr;
    prometheus::Gauge* latency_p99 = nullptr;
    prometheus::Gauge* engine_info = nullptr;
  };

  void MakeVariantSeries(prometheus::Registry* registry);
  void MakeBatchSeries(prometheus::Registry* registry);
  void MakeRunSeries(prometheus::Registry* registry);
  prometheus::Labels LabelsOf(const char* variant) const;

  prometheus::Registry* const registry_;
  const std::string model_;
  RpcMetrics rpcs_;
  ShadowMetrics shadows_;

  // Families, constant after construction.
  prometheus::Family<prometheus::Gauge>* accuracy_;
  prometheus::Family<prometheus::Gauge>* agreement_;
  prometheus::Family<prometheus::Gauge>* sqnr_;
  prometheus::Family<prometheus::Gauge>* evaluation_latency_;
  prometheus::Family<prometheus::Gauge>* engine_info_;
  prometheus::Family<prometheus::Histogram>* phase_duration_;

  std::array<prometheus::Counter*, kRunResultCount> runs_;
  prometheus::Gauge* candidate_generation_;
  prometheus::Gauge* int8_share_;
  prometheus::Counter* promotions_;
  prometheus::Counter* rollbacks_;
  prometheus::Counter* recipes_calibrated_;
  prometheus::Counter* recipes_loaded_;

  Mutex mu_;  // guards the making of series, not their use
  std::array<VariantSeries, kVariantCount> variant_;
  std::array<InferenceStatistics, kVariantCount> statistics_;
};

}  // namespace quantserve
