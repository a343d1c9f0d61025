#include "server/rpc/report_codec.h"

#include "absl/strings/string_view.h"
#include "quant/base/cpu.h"
#include "quant/base/memory.h"
#include "server/rpc/wire_time.h"

namespace quantserve {
namespace {

std::string String(absl::string_view text) { return std::string(text); }

void EncodeEvaluation(const std::string& shard, const Evaluation& evaluation,
                      v1::Evaluation* out) {
  out->set_shard(shard);
  out->set_samples(evaluation.samples);
  out->set_correct(evaluation.correct);
  if (evaluation.accuracy.has_value()) out->set_accuracy(*evaluation.accuracy);
  ToWire(evaluation.latency_p50, out->mutable_latency_p50());
  ToWire(evaluation.latency_p99, out->mutable_latency_p99());
}

void EncodeComparison(const Comparison& comparison, v1::Comparison* out) {
  out->set_agreement(comparison.agreement);
  out->set_sqnr_db(comparison.sqnr_db);
}

void EncodeGate(const GateDecision& gate, v1::GateResult* out) {
  out->set_passed(gate.passed);
  out->set_reason(gate.reason);
}

void EncodeEngine(const EngineInfo& info,
                  const std::vector<EngineTiming>& timings,
                  v1::EngineStatus* out) {
  out->set_name(info.engine);
  out->set_precision(info.precision);
  *out->mutable_islands() = {info.islands.begin(), info.islands.end()};
  *out->mutable_notes() = {info.notes.begin(), info.notes.end()};
  out->set_weight_bytes(info.weight_bytes);
  out->set_context_bytes(info.context_bytes);
  for (const EngineTiming& timing : timings) {
    v1::EngineTiming* candidate = out->add_candidates();
    candidate->set_engine(timing.engine);
    if (timing.latency > absl::ZeroDuration()) {
      ToWire(timing.latency, candidate->mutable_latency());
    }
    candidate->set_rejected(timing.rejected);
  }
}

void EncodeReport(const QuantizationReport& report,
                  v1::QuantizationReport* out) {
  out->set_range_method(report.range_method);
  out->set_shard(report.shard);
  out->set_samples(report.samples);
  out->set_weight_bits(report.weight_bits);
  for (const LayerReport& layer : report.layers) {
    v1::LayerReport* row = out->add_layers();
    row->set_name(layer.name);
    row->set_op(layer.op);
    row->set_quantized(layer.quantized);
    row->set_reason(layer.reason);
    row->set_macs(layer.macs);
  }
  *out->mutable_notes() = {report.notes.begin(), report.notes.end()};
  out->set_digest(report.digest);
  out->set_artifact(report.artifact);
  out->set_int8_macs_share(report.int8_macs_share);
  out->set_held_out(report.held_out);
  for (const TrialReport& trial : report.trials) {
    v1::TrialReport* row = out->add_trials();
    row->set_what(trial.what);
    row->set_sqnr_db(trial.sqnr_db);
    row->set_agreement(trial.agreement);
    if (trial.accuracy.has_value()) row->set_accuracy(*trial.accuracy);
    row->set_kept(trial.kept);
  }
  if (report.budget.has_value()) {
    out->mutable_budget()->set_wanted(report.budget->wanted);
    out->mutable_budget()->set_achieved(report.budget->achieved);
    out->mutable_budget()->set_reached(report.budget->reached);
  }
  for (const auto& [phase, duration] : report.phases) {
    v1::PhaseDuration* row = out->add_phases();
    row->set_phase(phase);
    ToWire(duration, row->mutable_duration());
  }
}

void EncodeSpecs(const std::vector<TensorSpec>& specs,
                 google::protobuf::RepeatedPtrField<v1::TensorSpec>* out) {
  for (const TensorSpec& spec : specs) {
    v1::TensorSpec* row = out->Add();
    row->set_name(spec.name);
    row->set_dtype(spec.integers ? v1::INT64 : v1::FP32);
    row->mutable_shape()->Add(spec.shape.begin(), spec.shape.end());
  }
}

void EncodeVariant(const ServedVariant& variant, v1::VariantStatus* out) {
  out->set_name(variant.name());
  out->set_generation(variant.generation);
  EncodeEngine(variant.engine().info(), variant.compiled.timings,
               out->mutable_engine());
  out->set_size_bytes(variant.compiled.size_bytes);
  const Scores& scores = variant.scores;
  if (scores.evaluation.samples > 0) {
    EncodeEvaluation(scores.shard, scores.evaluation,
                     out->mutable_evaluation());
  }
  if (scores.comparison.has_value()) {
    EncodeComparison(*scores.comparison, out->mutable_comparison());
  }
  if (scores.gate.has_value()) EncodeGate(*scores.gate, out->mutable_gate());
}

void EncodeVariant(const VariantRegistry& registry, VariantId id,
                   v1::VariantStatus* out) {
  const VariantRegistry::Snapshot variant = registry.Get(id);
  if (variant == nullptr) {
    out->set_name(VariantName(id));
    out->set_unavailable_reason(registry.UnavailableReason(id));
    return;
  }
  EncodeVariant(*variant, out);
  out->set_ready(true);
  ToWire(variant->published, out->mutable_published());
}

void EncodeServer(const RpcEnvironment& env, v1::ServerStatus* out) {
  out->set_version(env.build.version);
  out->set_ready(env.lifecycle->ready());
  ToWire(env.started, out->mutable_started());
  const CpuFeatures& cpu = Cpu();
  v1::CpuFeatures* features = out->mutable_cpu();
  features->set_model(cpu.model);
  features->set_cores(cpu.cores);
  features->set_avx2(cpu.avx2);
  features->set_avx512(cpu.avx512);
  features->set_vnni(cpu.vnni);
  features->set_avx512_bf16(cpu.avx512_bf16);
  features->set_amx_int8(cpu.amx_int8);
  features->set_amx_bf16(cpu.amx_bf16);
  out->set_workers(env.pool->workers());
  out->set_queue_capacity(env.pool->queue_capacity());
  out->set_queue_depth(env.pool->queue_depth());
  out->set_max_message_bytes(env.network.max_message_bytes);
  out->set_admin_port(env.admin_port);
  out->set_libtorch_version(env.build.libtorch_version);
  if (const auto memory = ReadProcessMemory(); memory.ok()) {
    out->mutable_memory()->set_resident_bytes(memory->resident_bytes);
    out->mutable_memory()->set_peak_resident_bytes(memory->peak_resident_bytes);
    out->mutable_memory()->set_private_bytes(memory->private_bytes);
  }
}

void EncodeShadow(const ShadowComparison& shadow, v1::ShadowComparison* out) {
  const bool candidate = shadow.pair.shadow == ShadowSide::kCandidate;
  out->set_variant(VariantName(shadow.pair.answered));
  out->set_generation(shadow.generation);
  out->set_shadow(candidate ? VariantName(VariantId::kInt8)
                            : ShadowSideName(shadow.pair.shadow));
  out->set_shadow_generation(shadow.shadow_generation);
  out->set_candidate(candidate);
  out->set_samples(shadow.sums.samples);
  if (shadow.sums.samples > 0) {
    EncodeComparison(shadow.sums.Get(), out->mutable_comparison());
  }
  out->set_dropped(shadow.dropped);
}

void EncodeModel(const ModelHost& host, v1::ModelStatus* out) {
  const ServedModelConfig& options = host.config();
  const ModelInfo& info = host.info();
  out->set_name(options.model.name);
  out->set_sha256(info.sha256);
  out->set_file_bytes(info.file_bytes);
  out->set_macs(info.macs);
  EncodeSpecs(info.inputs, out->mutable_inputs());
  EncodeSpecs(info.outputs, out->mutable_outputs());
  const Preprocessing& preprocessing = options.model.preprocessing;
  v1::Preprocessing* wire = out->mutable_preprocessing();
  wire->set_scale(preprocessing.scale);
  *wire->mutable_mean() = {preprocessing.mean.begin(),
                           preprocessing.mean.end()};
  *wire->mutable_std() = {preprocessing.std.begin(), preprocessing.std.end()};
  *out->mutable_class_names() = {host.class_names().begin(),
                                 host.class_names().end()};
  out->set_max_batch(options.model.max_batch);
  for (VariantId id : kAllVariants) {
    if (id == VariantId::kBf16 && !options.model.bf16) continue;
    EncodeVariant(host.registry(), id, out->add_variants());
  }
  const auto routed = host.registry().FindUsual("");
  if (routed.ok()) out->set_default_variant((*routed)->name());
  EncodeRouting(host, out->mutable_routing());
  for (const ShadowComparison& shadow : host.shadow().comparisons()) {
    EncodeShadow(shadow, out->add_shadows());
  }
  const auto candidate = host.registry().candidate();
  if (candidate != nullptr) EncodeVariant(*candidate, out->mutable_candidate());
  const auto previous = host.registry().previous();
  if (previous != nullptr) {
    out->set_previous_generation(previous->generation);
  }
  for (const std::string& name : host.shards().names()) out->add_shards(name);
  out->set_calibration_shard(options.quantization.calibration_shard);
  out->set_test_shard(options.quantization.test_shard);
  const auto run = host.last_run();
  if (run != nullptr) EncodeRun(*run, out->mutable_last_quantization());
  const auto job = host.running_job();
  if (job.has_value()) {
    v1::JobStatus* status = out->mutable_running_job();
    status->set_name(job->name);
    EncodeProgress(job->progress, status->mutable_progress());
    ToWire(job->started, status->mutable_started());
  }
}

}  // namespace

void EncodeRouting(const ModelHost& host, v1::Routing* out) {
  out->set_int8_percent(host.registry().int8_percent());
  out->set_shadow_percent(host.shadow().percent());
}

void EncodeProgress(const Progress& progress, v1::Progress* out) {
  out->set_phase(progress.phase);
  out->set_done(progress.done);
  out->set_total(progress.total);
}

void EncodeRun(const QuantizationRun& run, v1::QuantizeResult* out) {
  out->set_dry_run(run.spec.dry_run);
  out->set_published(run.published);
  out->set_held(run.held);
  out->set_generation(run.generation);
  if (run.report.has_value()) EncodeReport(*run.report, out->mutable_report());
  if (run.fp32.has_value()) {
    EncodeEvaluation(run.evaluated_on, *run.fp32, out->mutable_fp32());
  }
  if (run.int8.has_value()) {
    EncodeEvaluation(run.evaluated_on, *run.int8, out->mutable_int8());
  }
  if (run.comparison.has_value()) {
    EncodeComparison(*run.comparison, out->mutable_comparison());
  }
  if (run.gate.has_value()) EncodeGate(*run.gate, out->mutable_gate());
  out->set_fp32_size_bytes(run.fp32_size_bytes);
  out->set_int8_size_bytes(run.int8_size_bytes);
  if (run.engine.has_value()) {
    EncodeEngine(*run.engine, run.timings, out->mutable_engine());
  }
  ToWire(run.started, out->mutable_started());
  ToWire(run.duration, out->mutable_duration());
  if (run.status.code() == absl::StatusCode::kInternal) {
    out->set_error("internal error, see the server's log");
  } else {
    out->set_error(String(run.status.message()));
  }
}

void EncodeOutcome(const EvaluationOutcome& outcome,
                   v1::EvaluateResponse* out) {
  out->set_variant(outcome.variant);
  out->set_generation(outcome.generation);
  EncodeEvaluation(outcome.shard, outcome.evaluation,
                   out->mutable_evaluation());
  if (outcome.comparison.has_value()) {
    EncodeComparison(*outcome.comparison, out->mutable_comparison());
  }
}

void EncodeStatus(const RpcEnvironment& env, const ModelHost* model,
                  v1::GetStatusResponse* out) {
  EncodeServer(env, out->mutable_server());
  for (const auto& host : env.models->all()) {
    if (model == nullptr || model == host.get()) {
      EncodeModel(*host, out->add_models());
    }
  }
}

}  // namespace quantserve
