#include "server/core/model_host.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

// What one thread tells another once.
class Handover {
 public:
  void Give(absl::Status status) {
    {
      MutexLock lock(&mu_);
      status_ = std::move(status);
    }
    given_.NotifyAll();
  }
  absl::Status Await() {
    MutexLock lock(&mu_);
    while (!status_.has_value()) given_.Wait(&mu_);
    return *status_;
  }

 private:
  Mutex mu_;
  CondVar given_;
  std::optional<absl::Status> status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

ModelHost::ModelHost(const ServedModelConfig& config, Deps deps)
    : config_(config),
      pipeline_(std::move(deps.pipeline)),
      shards_(std::move(deps.shards)),
      class_names_(std::move(deps.class_names)),
      server_metrics_(deps.metrics),
      metrics_(&deps.metrics->ForModel(config.model.name)),
      jobs_(deps.jobs),
      on_run_(std::move(deps.on_run)),
      on_change_(std::move(deps.on_change)),
      registry_({config.rollout.keep_previous,
                 [this](VariantId id) { OnChange(id); }}),
      shadow_(&registry_, &metrics_->shadows(), deps.shadows),
      quantizer_({pipeline_.get(), shards_.get(), &registry_, metrics_,
                  std::move(deps.int8_self_test), deps.workers,
                  config.model.bf16, config.quantization}) {
  registry_.SetInt8Percent(config.rollout.int8_percent);
  shadow_.SetPercent(config.rollout.shadow_percent);
  metrics_->SetRollout(0, config.rollout.int8_percent);
  metrics_->SetGate(config.quantization.gate);
}

void ModelHost::OnChange(VariantId id) {
  {
    MutexLock lock(&show_mu_);
    const auto variant = registry_.Get(id);
    if (variant != nullptr) metrics_->SetVariant(*variant);
    const auto candidate = registry_.candidate();
    metrics_->SetRollout(candidate == nullptr ? 0 : candidate->generation,
                         registry_.int8_percent());
  }
  if (on_change_) on_change_(id);
}

absl::StatusOr<VariantRegistry::Snapshot> ModelHost::Promote(
    int64_t generation) {
  QS_RETURN_IF_ERROR(CheckStarted());
  QS_ASSIGN_OR_RETURN(auto promoted, registry_.Promote(generation));
  metrics_->RecordPromotion();
  return promoted;
}

absl::StatusOr<VariantRegistry::Snapshot> ModelHost::Rollback() {
  QS_RETURN_IF_ERROR(CheckStarted());
  QS_ASSIGN_OR_RETURN(auto restored, registry_.Rollback());
  metrics_->RecordRollback();
  return restored;
}

absl::Status ModelHost::SetRouting(std::optional<int> int8_percent,
                                   std::optional<int> shadow_percent) {
  for (const auto& [name, percent] :
       {std::pair("int8_percent", int8_percent),
        std::pair("shadow_percent", shadow_percent)}) {
    if (percent.value_or(0) < 0 || percent.value_or(0) > 100) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " is ", *percent, ", want 0 to 100"));
    }
  }
  if (int8_percent.has_value()) {
    registry_.SetInt8Percent(*int8_percent);
    OnChange(VariantId::kInt8);
  }
  if (shadow_percent.has_value()) shadow_.SetPercent(*shadow_percent);
  return absl::OkStatus();
}

absl::Status ModelHost::CheckServing() const {
  QS_RETURN_IF_ERROR(registry_.FindUsual("fp32").status());
  if (!config_.rollout.require_int8) return absl::OkStatus();
  return registry_.FindUsual("int8").status();
}

absl::Status ModelHost::StartUp() {
  // Shared with the job's thread, which may still be inside Give when this one
  // goes on.
  auto finished = std::make_shared<Handover>();
  auto result = std::make_shared<absl::Status>();
  JobSpec spec;
  spec.name = "start";
  spec.owner = name();
  spec.work = [this, result](const JobControl& control) {
    *result = quantizer_.PublishFloat(control);
    if (!result->ok()) return;
    if (config_.quantization.calibration_shard.empty()) {
      registry_.SetUnavailable(VariantId::kInt8,
                               "no calibration shard is configured");
      return;
    }
    auto quantize = MakeQuantizeSpec("", "", 0, /*dry_run=*/false);
    *result = quantize.status();
    if (quantize.ok()) {
      quantize->options.force = false;
      const auto run = RunQuantization(*quantize, control);
      if (absl::IsCancelled(run->status)) *result = run->status;
    }
  };
  spec.done = [finished, result] { finished->Give(*result); };
  server_metrics_->SetJobRunning(true);
  QS_RETURN_IF_ERROR(jobs_->Start(std::move(spec)).status());
  const absl::Status status = finished->Await();
  server_metrics_->SetJobRunning(false);
  QS_RETURN_IF_ERROR(status);
  MutexLock lock(&mu_);
  started_ = true;
  return absl::OkStatus();
}

absl::Status ModelHost::CheckStarted() const {
  MutexLock lock(&mu_);
  if (started_) return absl::OkStatus();
  return absl::FailedPreconditionError("the server is starting");
}

absl::StatusOr<QuantizeSpec> ModelHost::MakeQuantizeSpec(
    absl::string_view range_method, absl::string_view shard, int64_t samples,
    bool dry_run) const {
  const QuantizationConfig& config = config_.quantization;
  QuantizeSpec spec;
  spec.options = config.options;
  spec.options.force = true;
  spec.dry_run = dry_run;
  if (!range_method.empty()) {
    QS_ASSIGN_OR_RETURN(spec.options.ranges.method,
                        ParseRangeMethod(range_method));
  }
  if (samples < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("samples is ", samples, ", want 0 or more"));
  }
  if (samples > 0) spec.options.samples = samples;
  spec.shard = shard.empty() ? config.calibration_shard : std::string(shard);
  if (spec.shard.empty()) {
    return absl::InvalidArgumentError(
        "no calibration shard is configured: name one");
  }
  QS_RETURN_IF_ERROR(shards_->Check(spec.shard));
  return spec;
}

absl::StatusOr<EvaluateSpec> ModelHost::MakeEvaluateSpec(
    absl::string_view variant, absl::string_view shard, int64_t samples) const {
  EvaluateSpec spec{
      std::string(variant),
      shard.empty() ? config_.quantization.test_shard : std::string(shard),
      samples};
  if (samples < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("samples is ", samples, ", want 0 or more"));
  }
  if (spec.shard.empty()) {
    return absl::InvalidArgumentError("no test shard is configured: name one");
  }
  QS_RETURN_IF_ERROR(shards_->Check(spec.shard));
  QS_RETURN_IF_ERROR(registry_.FindUsual(variant).status());
  return spec;
}

absl::StatusOr<std::shared_ptr<Job>> ModelHost::Quantize(QuantizeSpec spec,
                                                         OnProgress on_progress,
                                                         RunDone done) {
  QS_RETURN_IF_ERROR(CheckStarted());
  auto run = std::make_shared<std::shared_ptr<const QuantizationRun>>();
  JobSpec job;
  job.name = "quantize";
  job.owner = name();
  job.work = [this, spec = std::move(spec), run](const JobControl& control) {
    server_metrics_->SetJobRunning(true);
    *run = RunQuantization(spec, control);
    server_metrics_->SetJobRunning(false);
  };
  job.on_progress = std::move(on_progress);
  job.done = [run, done = std::move(done)] { done(std::move(*run)); };
  return jobs_->Start(std::move(job));
}

absl::StatusOr<std::shared_ptr<Job>> ModelHost::Evaluate(EvaluateSpec spec,
                                                         OnProgress on_progress,
                                                         EvaluateDone done) {
  QS_RETURN_IF_ERROR(CheckStarted());
  auto outcome = std::make_shared<absl::StatusOr<EvaluationOutcome>>();
  JobSpec job;
  job.name = "evaluate";
  job.owner = name();
  job.work = [this, spec = std::move(spec),
              outcome](const JobControl& control) {
    server_metrics_->SetJobRunning(true);
    *outcome = quantizer_.Evaluate(spec, control);
    server_metrics_->SetJobRunning(false);
  };
  job.on_progress = std::move(on_progress);
  job.done = [outcome, done = std::move(done)] { done(std::move(*outcome)); };
  return jobs_->Start(std::move(job));
}

std::shared_ptr<const QuantizationRun> ModelHost::last_run() const {
  MutexLock lock(&mu_);
  return last_run_;
}

std::shared_ptr<const QuantizationRun> ModelHost::RunQuantization(
    const QuantizeSpec& spec, const JobControl& control) {
  auto run =
      std::make_shared<const QuantizationRun>(quantizer_.Run(spec, control));
  auto kept = run;
  if (spec.options.detailed_report) {
    // For who asked only: it is not to stay in memory.
    auto brief = std::make_shared<QuantizationRun>(*run);
    if (brief->report.has_value()) {
      for (LayerReport& layer : brief->report->layers) layer.activation.reset();
    }
    kept = std::move(brief);
  }
  {
    MutexLock lock(&mu_);
    last_run_ = std::move(kept);
  }
  if (on_run_) on_run_(*run);
  return run;
}

}  // namespace quantserve
