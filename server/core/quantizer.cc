#include "server/core/quantizer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "quant/base/status_macros.h"
#include "quant/report/budget_status.h"
#include "server/core/held_out.h"
#include "server/core/steady_clock.h"

namespace quantserve {
namespace {

Evaluation WithoutOutputs(Evaluation evaluation) {
  evaluation.outputs = {};
  return evaluation;
}

RunResult ResultOf(const QuantizationRun& run) {
  if (run.published) return RunResult::kPublished;
  if (run.held) return RunResult::kHeld;
  if (run.status.ok()) return RunResult::kDryRun;
  if (absl::IsCancelled(run.status)) return RunResult::kCancelled;
  if (WasRefused(run)) return RunResult::kRefused;
  return RunResult::kFailed;
}

}  // namespace

Quantizer::Quantizer(Deps deps) : deps_(std::move(deps)) {}

absl::StatusOr<Quantizer::SampleSet> Quantizer::ChooseSamples(
    const std::string& name, std::shared_ptr<const Shard> calibration,
    int64_t wanted, int64_t* calibrate) const {
  if (!deps_.config.test_shard.empty()) {
    *calibrate = std::min(wanted, calibration->size());
    QS_ASSIGN_OR_RETURN(auto test, deps_.shards->Load(deps_.config.test_shard));
    const int64_t size = test->size();
    return SampleSet{deps_.config.test_shard, std::move(test), 0, size};
  }
  const HeldOut split = SplitForHoldOut(calibration->size(), wanted);
  *calibrate = split.calibrate;
  return SampleSet{name, std::move(calibration), split.first, split.held_out};
}

absl::StatusOr<Evaluation> Quantizer::Measure(const Engine& engine,
                                              const SampleSet& set,
                                              const JobControl& control) const {
  EvaluateOptions options;
  options.first = set.first;
  options.samples = set.samples;
  return quantserve::Evaluate(engine, *set.shard,
                              deps_.pipeline->options().preprocessing, options,
                              control);
}

absl::StatusOr<const Evaluation*> Quantizer::Baseline(
    const SampleSet& set, const JobControl& control) {
  if (!baseline_.has_value() || !(baseline_set_ == set)) {
    const Snapshot fp32 = deps_.registry->Get(VariantId::kFp32);
    if (fp32 == nullptr) {
      return absl::FailedPreconditionError("variant fp32 is not ready");
    }
    QS_ASSIGN_OR_RETURN(baseline_, Measure(fp32->engine(), set, control));
    baseline_set_ = set;
  }
  return &*baseline_;
}

absl::Status Quantizer::PublishFloat(const JobControl& control) {
  QS_ASSIGN_OR_RETURN(CompiledVariant compiled,
                      deps_.pipeline->CompileFloat(control));
  Scores scores;
  const std::string& name = deps_.config.calibration_shard;
  SampleSet set;
  if (!name.empty()) {
    QS_ASSIGN_OR_RETURN(auto calibration, deps_.shards->Load(name));
    int64_t calibrate = 0;
    QS_ASSIGN_OR_RETURN(
        set, ChooseSamples(name, std::move(calibration),
                           deps_.config.options.samples, &calibrate));
  } else if (!deps_.config.test_shard.empty()) {
    QS_ASSIGN_OR_RETURN(auto test, deps_.shards->Load(deps_.config.test_shard));
    const int64_t size = test->size();
    set = {deps_.config.test_shard, std::move(test), 0, size};
  }
  if (set.shard != nullptr) {
    QS_ASSIGN_OR_RETURN(baseline_, Measure(*compiled.engine, set, control));
    baseline_set_ = set;
    scores.shard = set.name;
    scores.evaluation = WithoutOutputs(*baseline_);
  }
  QS_ASSIGN_OR_RETURN(
      auto variant, MakeServedVariant(VariantId::kFp32, 1, std::move(compiled),
                                      std::move(scores), deps_.workers));
  variant->metrics = deps_.metrics;
  deps_.registry->Publish(std::move(variant));
  absl::Status bf16 = absl::FailedPreconditionError(
      "it is off; the server's flag --bf16 switches it on");
  if (deps_.bf16) bf16 = PublishBf16(set, control);
  if (absl::IsCancelled(bf16)) return bf16;
  if (!bf16.ok()) {
    deps_.registry->SetUnavailable(VariantId::kBf16,
                                   std::string(bf16.message()));
  }
  return absl::OkStatus();
}

absl::Status Quantizer::PublishBf16(const SampleSet& set,
                                    const JobControl& control) {
  QS_ASSIGN_OR_RETURN(CompiledVariant compiled,
                      deps_.pipeline->CompileBf16(control));
  Scores scores;
  if (set.shard != nullptr) {
    QS_ASSIGN_OR_RETURN(const Evaluation evaluation,
                        Measure(*compiled.engine, set, control));
    QS_ASSIGN_OR_RETURN(scores.comparison, Compare(*baseline_, evaluation));
    scores.shard = set.name;
    scores.evaluation = WithoutOutputs(evaluation);
  }
  QS_ASSIGN_OR_RETURN(
      auto variant, MakeServedVariant(VariantId::kBf16, 1, std::move(compiled),
                                      std::move(scores), deps_.workers));
  variant->metrics = deps_.metrics;
  deps_.registry->Publish(std::move(variant));
  return absl::OkStatus();
}

QuantizationRun Quantizer::Run(const QuantizeSpec& spec,
                               const JobControl& control) {
  QuantizationRun run;
  run.spec = spec;
  run.started = absl::Now();
  const absl::Time start = SteadyNow();
  run.status = Attempt(control, &run);
  run.duration = SteadyNow() - start;
  Record(run);
  return run;
}

absl::Status Quantizer::Attempt(const JobControl& control,
                                QuantizationRun* run) {
  if (!self_test_.has_value()) {
    self_test_ =
        deps_.int8_self_test ? deps_.int8_self_test() : absl::OkStatus();
  }
  if (!self_test_->ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "INT8 can't be trusted on this machine: ", self_test_->message()));
  }
  QS_ASSIGN_OR_RETURN(auto shard, deps_.shards->Load(run->spec.shard));
  QuantizeOptions options = run->spec.options;
  QS_ASSIGN_OR_RETURN(
      const SampleSet set,
      ChooseSamples(run->spec.shard, shard, options.samples, &options.samples));
  QS_ASSIGN_OR_RETURN(QuantizedVariant quantized,
                      deps_.pipeline->Quantize(options, *shard, control));
  run->report = std::move(quantized.report);
  run->report->shard = run->spec.shard;
  run->shard_sha256 = shard->sha256();
  run->engine = quantized.variant.engine->info();
  run->timings = quantized.variant.timings;
  run->int8_size_bytes = quantized.variant.size_bytes;

  const absl::Time start = SteadyNow();
  QS_RETURN_IF_ERROR(Judge(set, *quantized.variant.engine, control, run));
  run->report->phases.emplace_back("evaluate", SteadyNow() - start);
  if (!run->gate->passed) {
    return absl::FailedPreconditionError(
        absl::StrCat("the gate refused the new variant: ", run->gate->reason));
  }
  QS_RETURN_IF_ERROR(BudgetStatus(*run->report));
  if (run->spec.dry_run) return absl::OkStatus();
  // The last moment at which a cancelled job changes nothing.
  if (control.cancelled && control.cancelled()) {
    return absl::CancelledError("job cancelled");
  }
  return Publish(std::move(quantized.variant), run);
}

absl::Status Quantizer::Judge(const SampleSet& set, const Engine& int8,
                              const JobControl& control, QuantizationRun* run) {
  QS_ASSIGN_OR_RETURN(const Evaluation* baseline, Baseline(set, control));
  QS_ASSIGN_OR_RETURN(Evaluation candidate, Measure(int8, set, control));
  QS_ASSIGN_OR_RETURN(run->comparison, Compare(*baseline, candidate));
  run->evaluated_on = set.name;
  run->fp32 = WithoutOutputs(*baseline);
  run->gate =
      DecideGate(deps_.config.gate, *baseline, candidate, *run->comparison);
  run->int8 = WithoutOutputs(std::move(candidate));
  const Snapshot fp32 = deps_.registry->Get(VariantId::kFp32);
  run->fp32_size_bytes = fp32->compiled.size_bytes;
  run->fp32_engine = fp32->engine().info().engine;
  return absl::OkStatus();
}

absl::Status Quantizer::Publish(CompiledVariant compiled,
                                QuantizationRun* run) {
  const int64_t generation = deps_.registry->NextGeneration();
  QS_ASSIGN_OR_RETURN(
      auto variant,
      MakeServedVariant(
          VariantId::kInt8, generation, std::move(compiled),
          {run->evaluated_on, *run->int8, run->comparison, run->gate},
          deps_.workers));
  variant->metrics = deps_.metrics;
  run->generation = generation;
  if (run->spec.hold) {
    deps_.registry->Hold(std::move(variant));
    run->held = true;
  } else {
    deps_.registry->Publish(std::move(variant));
    run->published = true;
  }
  return absl::OkStatus();
}

void Quantizer::Record(const QuantizationRun& run) {
  if (!run.status.ok() && deps_.registry->Get(VariantId::kInt8) == nullptr) {
    deps_.registry->SetUnavailable(VariantId::kInt8,
                                   std::string(run.status.message()));
  }
  deps_.metrics->RecordQuantization(
      ResultOf(run), run.report.has_value() ? &*run.report : nullptr);
}

absl::StatusOr<EvaluationOutcome> Quantizer::Evaluate(
    const EvaluateSpec& spec, const JobControl& control) {
  QS_ASSIGN_OR_RETURN(const Snapshot variant,
                      deps_.registry->FindUsual(spec.variant));
  QS_ASSIGN_OR_RETURN(auto shard, deps_.shards->Load(spec.shard));
  const int64_t samples =
      spec.samples == 0 ? shard->size() : std::min(spec.samples, shard->size());
  const SampleSet set{spec.shard, std::move(shard), 0, samples};
  EvaluationOutcome outcome{
      variant->name(), variant->generation, spec.shard, {}, {}};
  QS_ASSIGN_OR_RETURN(outcome.evaluation,
                      Measure(variant->engine(), set, control));
  if (variant->id != VariantId::kFp32) {
    Evaluation fresh;
    const Evaluation* baseline = &fresh;
    if (baseline_.has_value() && baseline_set_ == set) {
      baseline = &*baseline_;
    } else {
      QS_ASSIGN_OR_RETURN(const Snapshot fp32, deps_.registry->Find("fp32"));
      QS_ASSIGN_OR_RETURN(fresh, Measure(fp32->engine(), set, control));
    }
    QS_ASSIGN_OR_RETURN(outcome.comparison,
                        Compare(*baseline, outcome.evaluation));
  }
  outcome.evaluation.outputs = {};
  return outcome;
}

}  // namespace quantserve
