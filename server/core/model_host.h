// One served model: its variants and what is done with them. What the RPCs
// call.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "quant/base/job_control.h"
#include "quant/base/mutex.h"
#include "quant/pipeline/pipeline.h"
#include "server/core/job_runner.h"
#include "server/core/metrics.h"
#include "server/core/quantization_run.h"
#include "server/core/quantizer.h"
#include "server/core/server_options.h"
#include "server/core/shadow.h"
#include "server/core/shard_store.h"
#include "server/core/variant_registry.h"

namespace quantserve {

// Thread-safe.
class ModelHost {
 public:
  using OnProgress = std::function<void(const Progress&)>;
  using RunDone = std::function<void(std::shared_ptr<const QuantizationRun>)>;
  using EvaluateDone = std::function<void(absl::StatusOr<EvaluationOutcome>)>;

  struct Deps {
    std::unique_ptr<ModelPipeline> pipeline;
    std::unique_ptr<ShardStore> shards;
    std::vector<std::string> class_names;  // none, or one for each output
    // Shared by all models; they outlive the host, but its jobs must be over
    // before it goes.
    Metrics* metrics = nullptr;
    JobRunner* jobs = nullptr;
    ShadowRunner* shadows = nullptr;  // may be null
    int workers = 1;                  // that run the variants
    std::function<absl::Status()> int8_self_test;
    // Sees every finished quantization; may be empty.
    std::function<void(const QuantizationRun&)> on_run;
    // Hears of every change of what is served; may be empty.
    std::function<void(VariantId)> on_change;
  };

  // `config` is valid.
  ModelHost(const ServedModelConfig& config, Deps deps);

  // Publishes FP32, then quantizes from the configured calibration shard, if
  // there is one, as a job; waits for it. OK if FP32 is being served: what
  // became of INT8 is in last_run(). To be called once.
  absl::Status StartUp();

  // Fills in the defaults. INVALID_ARGUMENT or NOT_FOUND as the wire contract
  // says; empty and 0 mean the configured value. Calibrates anew, as whoever
  // asks for a quantization wants.
  absl::StatusOr<QuantizeSpec> MakeQuantizeSpec(absl::string_view range_method,
                                                absl::string_view shard,
                                                int64_t samples,
                                                bool dry_run) const;
  absl::StatusOr<EvaluateSpec> MakeEvaluateSpec(absl::string_view variant,
                                                absl::string_view shard,
                                                int64_t samples) const;

  // Hands the job over as JobRunner::Start does; `done` is called exactly once
  // if it was taken, from the job's thread. FAILED_PRECONDITION before StartUp
  // has returned.
  absl::StatusOr<std::shared_ptr<Job>> Quantize(QuantizeSpec spec,
                                                OnProgress on_progress,
                                                RunDone done);
  absl::StatusOr<std::shared_ptr<Job>> Evaluate(EvaluateSpec spec,
                                                OnProgress on_progress,
                                                EvaluateDone done);

  // As VariantRegistry has them. FAILED_PRECONDITION before StartUp has
  // returned.
  absl::StatusOr<VariantRegistry::Snapshot> Promote(int64_t generation);
  absl::StatusOr<VariantRegistry::Snapshot> Rollback();

  // Changes what is given. INVALID_ARGUMENT, and nothing is changed, unless it
  // is 0 to 100.
  absl::Status SetRouting(std::optional<int> int8_percent,
                          std::optional<int> shadow_percent);

  // OK once what must be served before traffic may come is served, else
  // FAILED_PRECONDITION with the reason.
  absl::Status CheckServing() const;

  const std::string& name() const { return config_.model.name; }
  const ServedModelConfig& config() const { return config_; }
  const ModelInfo& info() const { return pipeline_->info(); }
  const std::vector<std::string>& class_names() const { return class_names_; }
  const ShardStore& shards() const { return *shards_; }
  const VariantRegistry& registry() const { return registry_; }
  ModelMetrics& metrics() { return *metrics_; }
  Shadow& shadow() { return shadow_; }
  const Shadow& shadow() const { return shadow_; }
  // This model's; another's may be running instead.
  std::optional<RunningJob> running_job() const {
    return jobs_->RunningFor(name());
  }
  // The quantization that finished last; null before the first.
  std::shared_ptr<const QuantizationRun> last_run() const;

 private:
  std::shared_ptr<const QuantizationRun> RunQuantization(
      const QuantizeSpec& spec, const JobControl& control);
  absl::Status CheckStarted() const;
  // Shows what is served now.
  void OnChange(VariantId id);

  const ServedModelConfig config_;
  const std::unique_ptr<ModelPipeline> pipeline_;
  const std::unique_ptr<ShardStore> shards_;
  const std::vector<std::string> class_names_;
  Metrics* const server_metrics_;
  ModelMetrics* const metrics_;
  JobRunner* const jobs_;
  const std::function<void(const QuantizationRun&)> on_run_;
  const std::function<void(VariantId)> on_change_;
  Mutex show_mu_;  // so that the metrics show the last change, not the last but
                   // one
  VariantRegistry registry_;
  Shadow shadow_;
  Quantizer quantizer_;
  mutable Mutex mu_;
  std::shared_ptr<const QuantizationRun> last_run_ ABSL_GUARDED_BY(mu_);
  // The job slot is the start's own before.
  bool started_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace quantserve
