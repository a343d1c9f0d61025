#include "quant/search/scorer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/memory.h"
#include "quant/base/status_macros.h"
#include "quant/plan/passes/passes.h"
#include "quant/plan/quantize_plan.h"
#include "quant/search/shard_notes.h"
#include "quant/torch/observe.h"

namespace quantserve {
namespace {

// Outputs are kept: more than a quarter of a GiB of them are cut off.
constexpr int64_t kMaxOutputs = int64_t{1} << 26;

// The first `samples` of what FP32 did.
Evaluation Head(const Evaluation& evaluation, int64_t samples) {
  Evaluation head;
  head.samples = samples;
  head.outputs_per_sample = evaluation.outputs_per_sample;
  head.outputs.assign(
      evaluation.outputs.begin(),
      evaluation.outputs.begin() + samples * evaluation.outputs_per_sample);
  return head;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Scorer>> Scorer::Make(
    const Plan& float_plan, const Shard& shard,
    const Preprocessing& preprocessing, const ScorerOptions& options,
    const JobControl& control) {
  int64_t elements = 1;
  for (ValueId id : float_plan.outputs) {
    elements += float_plan.value(id).elements();
  }
  ScorerOptions bounded = options;
  bounded.count = std::clamp<int64_t>(kMaxOutputs / elements, 1, options.count);
  std::unique_ptr<Scorer> scorer(
      new Scorer(float_plan, shard, preprocessing, bounded, control));
  QS_ASSIGN_OR_RETURN(Outputs outputs,
                      scorer->Run(float_plan, bounded.count, "search"));
  scorer->float_all_ = std::move(outputs.all);
  scorer->float_first_ = std::move(outputs.first);
  return scorer;
}

absl::StatusOr<Scorer::Outputs> Scorer::Run(const Plan& plan, int64_t samples,
                                            const char* phase) const {
  ObserveOptions observe;
  observe.values = plan.outputs;
  observe.batch = std::min(options_.batch, samples);
  QS_ASSIGN_OR_RETURN(const auto observer, Observer::Make(plan, observe));
  Outputs out;
  for (Evaluation* e : {&out.all, &out.first}) e->samples = samples;
  for (ValueId id : plan.outputs) {
    out.all.outputs_per_sample += plan.value(id).elements();
  }
  out.first.outputs_per_sample = plan.value(plan.outputs[0]).elements();
  // One output after the other: their order among themselves does not matter
  // to a comparison.
  std::vector<std::vector<float>> collected(plan.outputs.size());
  size_t next = 0;
  const JobControl quiet{nullptr, control_.cancelled};
  QS_RETURN_IF_ERROR(observer->RunAll(
      shard_, preprocessing_, options_.first, samples,
      phase == nullptr ? quiet : control_, phase == nullptr ? "" : phase,
      [&](ValueId, absl::Span<const float> values) {
        auto& output = collected[next++ % collected.size()];
        output.insert(output.end(), values.begin(), values.end());
        return absl::OkStatus();
      }));
  for (const std::vector<float>& output : collected) {
    out.all.outputs.insert(out.all.outputs.end(), output.begin(), output.end());
  }
  out.first.outputs = std::move(collected[0]);
  if (shard_.has_labels()) {
    // Labels that the model has no output for are another model's.
    const int64_t outputs = out.first.outputs_per_sample;
    const bool fit =
        !FindForeignLabel(shard_, options_.first, samples, outputs);
    if (fit && outputs > 1) {
      CountCorrect(shard_.labels().subspan(options_.first), &out.first);
    }
  }
  return out;
}

absl::StatusOr<Score> Scorer::Try(const Recipe& recipe, const char* phase,
                                  int64_t samples) {
  if (samples == 0) samples = options_.count;
  samples = std::min(samples, options_.count);
  QS_ASSIGN_OR_RETURN(QuantizedPlan quantized, QuantizePlan(plan_, recipe, {}));
  // As the engines run it: the last layer writes FP32.
  const Plan plan =
      FuseDequantize(std::move(quantized.plan), {OpKind::kLinear});
  QS_ASSIGN_OR_RETURN(const Outputs outputs, Run(plan, samples, phase));
  ReturnFreedMemory();
  // `all` is kept output by output, so its head is not that of the samples: a
  // part is compared by the first output.
  Evaluation want_first = Head(float_first_, samples);
  Evaluation want_all = samples == options_.count ? float_all_ : want_first;
  const Evaluation& got_all =
      samples == options_.count ? outputs.all : outputs.first;
  QS_ASSIGN_OR_RETURN(const Comparison all, Compare(want_all, got_all));
  QS_ASSIGN_OR_RETURN(const Comparison first,
                      Compare(want_first, outputs.first));
  return Score{all.sqnr_db, first.agreement, outputs.first.accuracy};
}

TrialReport ToTrial(std::string what, const Score& score, bool kept) {
  return {std::move(what), score.sqnr_db, score.agreement, score.accuracy,
          kept};
}

}  // namespace quantserve
