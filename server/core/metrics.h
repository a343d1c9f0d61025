// Every metric of the server, made at start-up. Names carry their units; labels
// come from closed sets.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "prometheus/registry.h"
#include "quant/base/cpu.h"
#include "quant/base/mutex.h"
#include "quant/report/quantization_report.h"
#include "server/core/variant.h"

namespace quantserve {

enum class Rpc { kPredict, kQuantize, kGetStatus, kEvaluate };
inline constexpr int kRpcCount = 4;
// "Predict", …
const char* RpcName(Rpc rpc);

// The variant label of a call that never got as far as having one: "none".
inline constexpr int kNoVariant = kVariantCount;

enum class RunResult { kPublished, kDryRun, kRefused, kCancelled, kFailed };
inline constexpr int kRunResultCount = 5;
// "published", "dry_run", …
const char* RunResultName(RunResult result);

struct BuildFacts {
  std::string version;
  std::string compiler;
  std::string libtorch_version;
};

// Thread-safe. Recording a request touches only series that were resolved
// before; a series appears in the scrape when it is first recorded or at start.
class Metrics {
 public:
  Metrics(const BuildFacts& build, const CpuFeatures& cpu);
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // `variant` is a VariantId's number or kNoVariant.
  void RecordRpc(Rpc rpc, int variant, absl::StatusCode code,
                 absl::Duration latency);
  void RecordInference(VariantId variant, int64_t samples, absl::Duration queue,
                       absl::Duration compute);

  // Shows what was just published.
  void SetVariant(const ServedVariant& variant);
  void SetReady(bool ready);
  void SetServing(int workers, int queue_capacity);

  // `report` is null if the run did not get as far as having one.
  void RecordQuantization(RunResult result, const QuantizationReport* report);
  void SetJobRunning(bool running);

  std::shared_ptr<prometheus::Registry> registry() const { return registry_; }

 private:
  static constexpr int kCodes = 17;  // OK … UNAUTHENTICATED
  struct RpcSeries {
    std::atomic<prometheus::Counter*> requests{nullptr};
    std::atomic<prometheus::Histogram*> duration{nullptr};
  };
  struct VariantSeries {
    prometheus::Counter* samples = nullptr;
    prometheus::Histogram* queue = nullptr;
    prometheus::Histogram* compute = nullptr;
    prometheus::Gauge* ready = nullptr;
    prometheus::Gauge* generation = nullptr;
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

  void MakeInfo(const BuildFacts& build, const CpuFeatures& cpu);
  void MakeVariantSeries();
  RpcSeries& Resolve(Rpc rpc, int variant, absl::StatusCode code);

  std::shared_ptr<prometheus::Registry> registry_;

  // Families, constant after construction.
  prometheus::Family<prometheus::Counter>* requests_;
  prometheus::Family<prometheus::Histogram>* durations_;
  prometheus::Family<prometheus::Gauge>* accuracy_;
  prometheus::Family<prometheus::Gauge>* agreement_;
  prometheus::Family<prometheus::Gauge>* sqnr_;
  prometheus::Family<prometheus::Gauge>* evaluation_latency_;
  prometheus::Family<prometheus::Gauge>* engine_info_;
  prometheus::Family<prometheus::Histogram>* phase_duration_;

  prometheus::Gauge* ready_;
  prometheus::Gauge* workers_;
  prometheus::Gauge* queue_capacity_;
  prometheus::Gauge* job_running_;
  std::array<prometheus::Counter*, kRunResultCount> runs_;
  prometheus::Counter* recipes_calibrated_;
  prometheus::Counter* recipes_loaded_;

  Mutex mu_;  // guards the making of series, not their use
  RpcSeries rpc_[kRpcCount][kVariantCount + 1][kCodes];
  std::array<VariantSeries, kVariantCount> variant_;
};

}  // namespace quantserve
