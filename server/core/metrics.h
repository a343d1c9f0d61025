// Every metric of the server, made at start-up. Names carry their units; labels
// come from closed sets.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "prometheus/registry.h"
#include "quant/base/cpu.h"
#include "quant/base/mutex.h"
#include "server/core/call_metrics.h"
#include "server/core/model_metrics.h"
#include "server/core/rpc_metrics.h"

namespace quantserve {

struct BuildFacts {
  std::string version;
  std::string compiler;
  std::string libtorch_version;
};

// Thread-safe. What belongs to a model is in ModelMetrics.
class Metrics {
 public:
  Metrics(const BuildFacts& build, const CpuFeatures& cpu);
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Made when first asked for, at start-up; lives as long as this.
  ModelMetrics& ForModel(const std::string& name);
  // Of calls that never got as far as having a model: the label is "none".
  RpcMetrics& rpcs_without_model() { return rpcs_without_model_; }

  CallMetrics& calls() { return calls_; }

  void SetReady(bool ready);
  void SetServing(int workers, int queue_capacity);
  void SetJobRunning(bool running);

  std::shared_ptr<prometheus::Registry> registry() const { return registry_; }

 private:
  void MakeInfo(const BuildFacts& build, const CpuFeatures& cpu);

  const std::shared_ptr<prometheus::Registry> registry_;
  RpcMetrics rpcs_without_model_;
  CallMetrics calls_;
  prometheus::Gauge* ready_;
  prometheus::Gauge* workers_;
  prometheus::Gauge* queue_capacity_;
  prometheus::Gauge* job_running_;

  Mutex mu_;
  std::map<std::string, std::unique_ptr<ModelMetrics>> models_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace quantserve
