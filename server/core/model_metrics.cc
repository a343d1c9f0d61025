#include "server/core/model_metrics.h"

#include <optional>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"

namespace quantserve {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using Buckets = prometheus::Histogram::BucketBoundaries;
using GaugeFamily = prometheus::Family<prometheus::Gauge>;

const Buckets& ShortBuckets() {
  static const auto& buckets = *new Buckets{
      1e-5, 2.5e-5, 5e-5, 1e-4, 1.5e-4, 2e-4, 3e-4, 5e-4, 7.5e-4, 1e-3, 2e-3,
      3e-3, 5e-3,   1e-2, 2e-2, 5e-2,   0.1,  0.25, 0.5,  1,      2.5};
  return buckets;
}

const Buckets& BatchBuckets() {
  static const auto& buckets =
      *new Buckets{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
  return buckets;
}

const Buckets& JobBuckets() {
  static const auto& buckets = *new Buckets{
      0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800};
  return buckets;
}

// Shows `value`, or takes the series away if there is none.
void SetOptional(GaugeFamily* family, prometheus::Gauge** gauge,
                 const prometheus::Labels& labels,
                 std::optional<double> value) {
  if (value.has_value()) {
    if (*gauge == nullptr) *gauge = &family->Add(labels);
    (*gauge)->Set(*value);
  } else if (*gauge != nullptr) {
    family->Remove(*gauge);
    *gauge = nullptr;
  }
}

}  // namespace

const char* DropName(Drop reason) {
  static constexpr const char* kNames[] = {
      "queue_full", "draining", "deadline_unreachable", "expired", "cancelled"};
  return kNames[static_cast<int>(reason)];
}

const char* RunResultName(RunResult result) {
  static constexpr const char* kNames[] = {"published", "dry_run", "refused",
                                           "cancelled", "failed",  "held"};
  return kNames[static_cast<int>(result)];
}

// A registry gives the family that it has to whoever registers it again, so
// that each model's series are added to the same ones.
ModelMetrics::ModelMetrics(prometheus::Registry* registry,
                           const std::string& model)
    : registry_(registry),
      model_(model),
      rpcs_(registry, model),
      shadows_(registry, model) {
  MakeVariantSeries(registry);
  MakeBatchSeries(registry);
  MakeRunSeries(registry);
  for (VariantId id : kAllVariants) {
    rpcs_.Show(Rpc::kPredict, static_cast<int>(id), absl::StatusCode::kOk);
  }
}

prometheus::Labels ModelMetrics::LabelsOf(const char* variant) const {
  return {{"model", model_}, {"variant", variant}};
}

void ModelMetrics::MakeVariantSeries(prometheus::Registry* registry) {
  const auto gauge = [registry](const char* name, const char* help) {
    return &BuildGauge().Name(name).Help(help).Register(*registry);
  };
  auto& samples = BuildCounter()
                      .Name("quantserve_samples_total")
                      .Help("Samples that the model was run on.")
                      .Register(*registry);
  auto& queue = BuildHistogram()
                    .Name("quantserve_queue_duration_seconds")
                    .Help("Time that requests waited for a worker.")
                    .Register(*registry);
  auto& compute = BuildHistogram()
                      .Name("quantserve_compute_duration_seconds")
                      .Help("Time that workers spent on requests.")
                      .Register(*registry);
  auto* ready = gauge("quantserve_variant_ready", "1 if it is being served.");
  auto* generation =
      gauge("quantserve_variant_generation", "Which build is being served.");
  auto* generations =
      gauge("quantserve_variant_generations_live",
            "Builds in memory: served, kept aside, or still being run.");
  auto* size = gauge("quantserve_variant_size_bytes",
                     "Size of the model in this precision, as stored.");
  auto* weights = gauge("quantserve_variant_weight_bytes",
                        "Memory of the weights, shared by all workers.");
  auto* contexts = gauge("quantserve_variant_context_bytes",
                         "Memory of one worker's buffers.");
  accuracy_ = gauge("quantserve_variant_accuracy_ratio",
                    "Share of right answers on labelled samples, 0 to 1.");
  agreement_ = gauge("quantserve_variant_agreement_ratio",
                     "Share of samples where it answers as fp32 does, 0 to 1.");
  sqnr_ = gauge("quantserve_variant_sqnr_decibels",
                "Signal to quantization noise of its output against fp32.");
  evaluation_latency_ =
      gauge("quantserve_variant_evaluation_latency_seconds",
            "Latency of one sample when the variant was evaluated.");
  engine_info_ =
      gauge("quantserve_engine_info", "The engine that runs each variant.");
  for (VariantId id : kAllVariants) {
    const prometheus::Labels labels = LabelsOf(VariantName(id));
    VariantSeries& series = variant_[static_cast<size_t>(id)];
    series.samples = &samples.Add(labels);
    series.queue = &queue.Add(labels, ShortBuckets());
    series.compute = &compute.Add(labels, ShortBuckets());
    series.ready = &ready->Add(labels);
    series.generation = &generation->Add(labels);
    series.generations = &generations->Add(labels);
    series.size = &size->Add(labels);
    series.weights = &weights->Add(labels);
    series.contexts = &contexts->Add(labels);
  }
}

void ModelMetrics::MakeBatchSeries(prometheus::Registry* registry) {
  auto& batch = BuildHistogram()
                    .Name("quantserve_batch_size_samples")
                    .Help("Samples that were run together.")
                    .Register(*registry);
  auto& unwanted = BuildCounter()
                       .Name("quantserve_unwanted_samples_total")
                       .Help(
                           "Samples that were run although their call was over "
                           "when the run began.")
                       .Register(*registry);
  auto& worker_seconds = BuildCounter()
                             .Name("quantserve_worker_seconds_total")
                             .Help("Time that workers spent on batches.")
                             .Register(*registry);
  auto& drops = BuildCounter()
                    .Name("quantserve_dropped_requests_total")
                    .Help("Requests that were not run.")
                    .Register(*registry);
  for (VariantId id : kAllVariants) {
    prometheus::Labels labels = LabelsOf(VariantName(id));
    VariantSeries& series = variant_[static_cast<size_t>(id)];
    series.batch = &batch.Add(labels, BatchBuckets());
    series.unwanted = &unwanted.Add(labels);
    series.worker_seconds = &worker_seconds.Add(labels);
    for (int i = 0; i < kDropCount; ++i) {
      labels["reason"] = DropName(static_cast<Drop>(i));
      series.drops[i] = &drops.Add(labels);
    }
  }
}

void ModelMetrics::MakeRunSeries(prometheus::Registry* registry) {
  auto& runs = BuildCounter()
                   .Name("quantserve_quantization_runs_total")
                   .Help("Finished quantizations by what became of them.")
                   .Register(*registry);
  for (int i = 0; i < kRunResultCount; ++i) {
    runs_[i] =
        &runs.Add({{"model", model_},
                   {"result", RunResultName(static_cast<RunResult>(i))}});
  }
  const prometheus::Labels model = {{"model", model_}};
  candidate_generation_ =
      &BuildGauge()
           .Name("quantserve_candidate_generation")
           .Help("The INT8 build that waits for its promotion; 0: none.")
           .Register(*registry)
           .Add(model);
  int8_share_ = &BuildGauge()
                     .Name("quantserve_int8_share_ratio")
                     .Help(
                         "Share of the requests without a variant that INT8 "
                         "gets while it is served, 0 to 1.")
                     .Register(*registry)
                     .Add(model);
  auto& rollouts = BuildCounter()
                       .Name("quantserve_rollouts_total")
                       .Help("INT8 variants exchanged by operators.")
                       .Register(*registry);
  promotions_ = &rollouts.Add({{"model", model_}, {"action", "promote"}});
  rollbacks_ = &rollouts.Add({{"model", model_}, {"action", "rollback"}});
  auto& recipes = BuildCounter()
                      .Name("quantserve_quantization_recipes_total")
                      .Help("Where the recipes of quantizations came from.")
                      .Register(*registry);
  recipes_calibrated_ =
      &recipes.Add({{"model", model_}, {"source", "calibrated"}});
  recipes_loaded_ = &recipes.Add({{"model", model_}, {"source", "loaded"}});
  phase_duration_ = &BuildHistogram()
                         .Name("quantserve_quantization_phase_duration_seconds")
                         .Help("Wall time of each phase of a quantization.")
                         .Register(*registry);
}

void ModelMetrics::SetGate(const GateOptions& gate) {
  const auto show = [this](const char* name, const char* help, double limit) {
    BuildGauge()
        .Name(name)
        .Help(help)
        .Register(*registry_)
        .Add({{"model", model_}})
        .Set(limit);
  };
  show("quantserve_gate_max_accuracy_drop_ratio",
       "By how much INT8's accuracy may be lower than FP32's, with labels.",
       gate.max_accuracy_drop);
  show("quantserve_gate_min_agreement_ratio",
       "Share of samples where INT8 must answer as FP32 does, without labels.",
       gate.min_agreement);
  show("quantserve_gate_min_sqnr_decibels",
       "Signal to noise that regressors without labels must reach.",
       gate.min_sqnr_db);
}

void ModelMetrics::SetRollout(int64_t candidate_generation, int int8_percent) {
  candidate_generation_->Set(static_cast<double>(candidate_generation));
  int8_share_->Set(int8_percent / 100.0);
}

void ModelMetrics::RecordInference(VariantId variant, int64_t samples,
                                   absl::Duration queue,
                                   absl::Duration compute) {
  VariantSeries& series = variant_[static_cast<size_t>(variant)];
  series.samples->Increment(static_cast<double>(samples));
  series.queue->Observe(absl::ToDoubleSeconds(queue));
  series.compute->Observe(absl::ToDoubleSeconds(compute));
  statistics_[static_cast<size_t>(variant)].RecordSuccess(samples, queue,
                                                          compute);
}

void ModelMetrics::RecordBatch(VariantId variant, int64_t samples,
                               int64_t unwanted, absl::Duration compute) {
  statistics_[static_cast<size_t>(variant)].RecordBatch(samples, compute);
  VariantSeries& series = variant_[static_cast<size_t>(variant)];
  series.batch->Observe(static_cast<double>(samples));
  series.worker_seconds->Increment(absl::ToDoubleSeconds(compute));
  if (unwanted > 0) series.unwanted->Increment(static_cast<double>(unwanted));
}

void ModelMetrics::RecordFailure(VariantId variant, absl::Duration took) {
  statistics_[static_cast<size_t>(variant)].RecordFailure(took);
}

void ModelMetrics::RecordDrop(VariantId variant, Drop reason) {
  variant_[static_cast<size_t>(variant)]
      .drops[static_cast<size_t>(reason)]
      ->Increment();
}

void ModelMetrics::SetVariant(const ServedVariant& variant) {
  MutexLock lock(&mu_);
  VariantSeries& series = variant_[static_cast<size_t>(variant.id)];
  const prometheus::Labels labels = LabelsOf(variant.name());
  const EngineInfo& info = variant.engine().info();
  const Scores& scores = variant.scores;
  series.ready->Set(1);
  series.generation->Set(static_cast<double>(variant.generation));
  series.size->Set(static_cast<double>(variant.compiled.size_bytes));
  series.weights->Set(static_cast<double>(info.weight_bytes));
  series.contexts->Set(static_cast<double>(info.context_bytes));
  std::optional<double> agreement, sqnr;
  if (scores.comparison.has_value()) {
    agreement = scores.comparison->agreement;
    sqnr = scores.comparison->sqnr_db;
  }
  SetOptional(accuracy_, &series.accuracy, labels, scores.evaluation.accuracy);
  SetOptional(agreement_, &series.agreement, labels, agreement);
  SetOptional(sqnr_, &series.sqnr, labels, sqnr);
  const bool evaluated = scores.evaluation.samples > 0;
  for (auto [percentile, gauge, latency] :
       {std::tuple{"50", &series.latency_p50, scores.evaluation.latency_p50},
        std::tuple{"99", &series.latency_p99, scores.evaluation.latency_p99}}) {
    if (!evaluated) continue;
    prometheus::Labels with = labels;
    with["percentile"] = percentile;
    *gauge = &evaluation_latency_->Add(with);
    (*gauge)->Set(absl::ToDoubleSeconds(latency));
  }
  if (series.engine_info != nullptr) engine_info_->Remove(series.engine_info);
  prometheus::Labels facts = labels;
  facts["engine"] = info.engine;
  facts["precision"] = info.precision;
  facts["islands"] = absl::StrCat(info.islands.size());
  series.engine_info = &engine_info_->Add(facts);
  series.engine_info->Set(1);
}

void ModelMetrics::RecordQuantization(RunResult result,
                                      const QuantizationReport* report) {
  runs_[static_cast<size_t>(result)]->Increment();
  if (report == nullptr) return;
  (report->artifact == kArtifactLoaded ? recipes_loaded_ : recipes_calibrated_)
      ->Increment();
  for (const auto& [phase, duration] : report->phases) {
    phase_duration_->Add({{"model", model_}, {"phase", phase}}, JobBuckets())
        .Observe(absl::ToDoubleSeconds(duration));
  }
}

}  // namespace quantserve
