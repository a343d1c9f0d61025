#include "server/core/metrics.h"

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

// From 100 us, where a small INT8 model on the loopback lies, to 10 s.
const Buckets& RequestBuckets() {
  static const auto& buckets = *new Buckets{
      1e-4, 2e-4, 3e-4, 5e-4, 7.5e-4, 1e-3, 1.5e-3, 2e-3, 3e-3, 5e-3, 7.5e-3,
      1e-2, 2e-2, 3e-2, 5e-2, 0.1,    0.25, 0.5,    1,    2.5,  5,    10};
  return buckets;
}

const Buckets& ShortBuckets() {
  static const auto& buckets = *new Buckets{
      1e-5, 2.5e-5, 5e-5, 1e-4, 1.5e-4, 2e-4, 3e-4, 5e-4, 7.5e-4, 1e-3, 2e-3,
      3e-3, 5e-3,   1e-2, 2e-2, 5e-2,   0.1,  0.25, 0.5,  1,      2.5};
  return buckets;
}

const Buckets& JobBuckets() {
  static const auto& buckets = *new Buckets{
      0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800};
  return buckets;
}

std::string Flag(bool value) { return value ? "true" : "false"; }

const char* VariantLabel(int variant) {
  return variant == kNoVariant ? "none"
                               : VariantName(static_cast<VariantId>(variant));
}

// Shows `value`, or takes the series away if there is none.
void SetOptional(GaugeFamily* family, prometheus::Gauge** gauge,
                 const char* variant, std::optional<double> value) {
  if (value.has_value()) {
    if (*gauge == nullptr) *gauge = &family->Add({{"variant", variant}});
    (*gauge)->Set(*value);
  } else if (*gauge != nullptr) {
    family->Remove(*gauge);
    *gauge = nullptr;
  }
}

}  // namespace

const char* RpcName(Rpc rpc) {
  static constexpr const char* kNames[] = {"Predict", "Quantize", "GetStatus",
                                           "Evaluate"};
  return kNames[static_cast<int>(rpc)];
}

const char* RunResultName(RunResult result) {
  static constexpr const char* kNames[] = {"published", "dry_run", "refused",
                                           "cancelled", "failed"};
  return kNames[static_cast<int>(result)];
}

Metrics::Metrics(const BuildFacts& build, const CpuFeatures& cpu)
    : registry_(std::make_shared<prometheus::Registry>()) {
  auto& registry = *registry_;
  requests_ = &BuildCounter()
                   .Name("quantserve_requests_total")
                   .Help("Finished calls.")
                   .Register(registry);
  durations_ = &BuildHistogram()
                    .Name("quantserve_request_duration_seconds")
                    .Help("Time from a call's arrival to its answer.")
                    .Register(registry);
  MakeInfo(build, cpu);
  MakeVariantSeries();
  ready_ = &BuildGauge()
                .Name("quantserve_ready")
                .Help("1 while the server welcomes traffic.")
                .Register(registry)
                .Add({});
  workers_ = &BuildGauge()
                  .Name("quantserve_workers")
                  .Help("Threads that run the model.")
                  .Register(registry)
                  .Add({});
  queue_capacity_ = &BuildGauge()
                         .Name("quantserve_queue_capacity")
                         .Help("Requests that may wait for a worker.")
                         .Register(registry)
                         .Add({});
  job_running_ = &BuildGauge()
                      .Name("quantserve_job_running")
                      .Help("1 while a quantization or evaluation runs.")
                      .Register(registry)
                      .Add({});
  auto& runs = BuildCounter()
                   .Name("quantserve_quantization_runs_total")
                   .Help("Finished quantizations by what became of them.")
                   .Register(registry);
  for (int i = 0; i < kRunResultCount; ++i) {
    runs_[i] =
        &runs.Add({{"result", RunResultName(static_cast<RunResult>(i))}});
  }
  auto& recipes = BuildCounter()
                      .Name("quantserve_quantization_recipes_total")
                      .Help("Where the recipes of quantizations came from.")
                      .Register(registry);
  recipes_calibrated_ = &recipes.Add({{"source", "calibrated"}});
  recipes_loaded_ = &recipes.Add({{"source", "loaded"}});
  phase_duration_ = &BuildHistogram()
                         .Name("quantserve_quantization_phase_duration_seconds")
                         .Help("Wall time of each phase of a quantization.")
                         .Register(registry);
  for (VariantId id : kAllVariants) {
    Resolve(Rpc::kPredict, static_cast<int>(id), absl::StatusCode::kOk);
  }
}

void Metrics::MakeInfo(const BuildFacts& build, const CpuFeatures& cpu) {
  BuildGauge()
      .Name("quantserve_build_info")
      .Help("What this server was built from.")
      .Register(*registry_)
      .Add({{"version", build.version},
            {"compiler", build.compiler},
            {"libtorch", build.libtorch_version}})
      .Set(1);
  BuildGauge()
      .Name("quantserve_cpu_info")
      .Help("What the processor can do.")
      .Register(*registry_)
      .Add({{"model", cpu.model},
            {"cores", absl::StrCat(cpu.cores)},
            {"avx2", Flag(cpu.avx2)},
            {"avx512", Flag(cpu.avx512)},
            {"vnni", Flag(cpu.vnni)},
            {"avx512_bf16", Flag(cpu.avx512_bf16)},
            {"amx_int8", Flag(cpu.amx_int8)},
            {"amx_bf16", Flag(cpu.amx_bf16)}})
      .Set(1);
}

void Metrics::MakeVariantSeries() {
  const auto gauge = [this](const char* name, const char* help) {
    return &BuildGauge().Name(name).Help(help).Register(*registry_);
  };
  auto& samples = BuildCounter()
                      .Name("quantserve_samples_total")
                      .Help("Samples that the model was run on.")
                      .Register(*registry_);
  auto& queue = BuildHistogram()
                    .Name("quantserve_queue_duration_seconds")
                    .Help("Time that requests waited for a worker.")
                    .Register(*registry_);
  auto& compute = BuildHistogram()
                      .Name("quantserve_compute_duration_seconds")
                      .Help("Time that workers spent on requests.")
                      .Register(*registry_);
  auto* ready = gauge("quantserve_variant_ready", "1 if it is being served.");
  auto* generation =
      gauge("quantserve_variant_generation", "Which build is being served.");
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
    const prometheus::Labels labels = {{"variant", VariantName(id)}};
    VariantSeries& series = variant_[static_cast<size_t>(id)];
    series.samples = &samples.Add(labels);
    series.queue = &queue.Add(labels, ShortBuckets());
    series.compute = &compute.Add(labels, ShortBuckets());
    series.ready = &ready->Add(labels);
    series.generation = &generation->Add(labels);
    series.size = &size->Add(labels);
    series.weights = &weights->Add(labels);
    series.contexts = &contexts->Add(labels);
  }
}

Metrics::RpcSeries& Metrics::Resolve(Rpc rpc, int variant,
                                     absl::StatusCode code) {
  const auto number = static_cast<int>(code);
  RpcSeries& series = rpc_[static_cast<int>(rpc)][variant]
                          [number >= 0 && number < kCodes ? number : 2];
  if (series.duration.load(std::memory_order_acquire) != nullptr) return series;
  MutexLock lock(&mu_);
  const prometheus::Labels labels = {{"rpc", RpcName(rpc)},
                                     {"variant", VariantLabel(variant)},
                                     {"code", absl::StatusCodeToString(code)}};
  series.requests.store(&requests_->Add(labels), std::memory_order_release);
  series.duration.store(&durations_->Add(labels, RequestBuckets()),
                        std::memory_order_release);
  return series;
}

void Metrics::RecordRpc(Rpc rpc, int variant, absl::StatusCode code,
                        absl::Duration latency) {
  RpcSeries& series = Resolve(rpc, variant, code);
  series.requests.load(std::memory_order_acquire)->Increment();
  series.duration.load(std::memory_order_acquire)
      ->Observe(absl::ToDoubleSeconds(latency));
}

void Metrics::RecordInference(VariantId variant, int64_t samples,
                              absl::Duration queue, absl::Duration compute) {
  VariantSeries& series = variant_[static_cast<size_t>(variant)];
  series.samples->Increment(static_cast<double>(samples));
  series.queue->Observe(absl::ToDoubleSeconds(queue));
  series.compute->Observe(absl::ToDoubleSeconds(compute));
}

void Metrics::SetVariant(const ServedVariant& variant) {
  MutexLock lock(&mu_);
  VariantSeries& series = variant_[static_cast<size_t>(variant.id)];
  const char* name = variant.name();
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
  SetOptional(accuracy_, &series.accuracy, name, scores.evaluation.accuracy);
  SetOptional(agreement_, &series.agreement, name, agreement);
  SetOptional(sqnr_, &series.sqnr, name, sqnr);
  const bool evaluated = scores.evaluation.samples > 0;
  for (auto [percentile, gauge, latency] :
       {std::tuple{"50", &series.latency_p50, scores.evaluation.latency_p50},
        std::tuple{"99", &series.latency_p99, scores.evaluation.latency_p99}}) {
    if (!evaluated) continue;
    *gauge = &evaluation_latency_->Add(
        {{"variant", name}, {"percentile", percentile}});
    (*gauge)->Set(absl::ToDoubleSeconds(latency));
  }
  if (series.engine_info != nullptr) engine_info_->Remove(series.engine_info);
  series.engine_info =
      &engine_info_->Add({{"variant", name},
                          {"engine", info.engine},
                          {"precision", info.precision},
                          {"islands", absl::StrCat(info.islands.size())}});
  series.engine_info->Set(1);
}

void Metrics::SetReady(bool ready) { ready_->Set(ready ? 1 : 0); }

void Metrics::SetServing(int workers, int queue_capacity) {
  workers_->Set(workers);
  queue_capacity_->Set(queue_capacity);
}

void Metrics::RecordQuantization(RunResult result,
                                 const QuantizationReport* report) {
  runs_[static_cast<size_t>(result)]->Increment();
  if (report == nullptr) return;
  (report->artifact == kArtifactLoaded ? recipes_loaded_ : recipes_calibrated_)
      ->Increment();
  for (const auto& [phase, duration] : report->phases) {
    phase_duration_->Add({{"phase", phase}}, JobBuckets())
        .Observe(absl::ToDoubleSeconds(duration));
  }
}

void Metrics::SetJobRunning(bool running) {
  job_running_->Set(running ? 1 : 0);
}

}  // namespace quantserve
