#include "quant/pipeline/decide.h"

#include <utility>

#include "quant/base/cpu.h"
#include "quant/base/memory.h"
#include "quant/base/status_macros.h"
#include "quant/search/layer_facts.h"
#include "quant/search/search.h"

namespace quantserve {
namespace {

SearchOptions ToSearch(const QuantizeOptions& options) {
  SearchOptions search;
  search.ranges = options.ranges;
  search.samples = options.samples;
  search.batch = options.batch;
  search.weight_bits = Cpu().vnni ? 8 : 7;
  search.bias_correction = options.bias_correction;
  search.equalize = options.equalize;
  search.budget = {options.max_drop, options.min_sqnr_db};
  for (const std::string& layer : options.keep_fp32) {
    search.keep_float[layer] = "asked for";
  }
  return search;
}

void FillReport(FoundRecipe* found, const Shard& shard,
                QuantizationReport* report) {
  report->range_method = RangeMethodName(found->ranges.method);
  report->shard = shard.name();
  report->samples = found->split.samples;
  report->held_out = found->split.held_count;
  report->weight_bits = found->recipe.weight_bits;
  report->trials = std::move(found->trials);
  report->budget = std::move(found->budget);
  for (std::string& note : found->notes) {
    report->notes.push_back(std::move(note));
  }
  if (report->weight_bits < 8) {
    report->notes.push_back(
        "the processor has no VNNI: weights use 7 bits, so that products do "
        "not saturate");
  }
}

}  // namespace

absl::StatusOr<DecidedRecipe> DecideRecipe(const Plan& plan, const Shard& shard,
                                           const Preprocessing& preprocessing,
                                           const QuantizeOptions& options,
                                           const JobControl& control,
                                           PhaseClock* clock,
                                           QuantizationReport* report) {
  clock->Begin("calibrate");
  // The part of the job that LibTorch's large blocks come from.
  QS_ASSIGN_OR_RETURN(
      FoundRecipe found,
      FindRecipe(plan, shard, preprocessing, ToSearch(options), control));
  ReturnFreedMemory();

  clock->Begin("convert");
  QS_RETURN_IF_ERROR(control.Report("convert", 0, 1));
  DecidedRecipe decided;
  QS_ASSIGN_OR_RETURN(decided.quantized, QuantizePlan(plan, found.recipe, {}));
  QS_RETURN_IF_ERROR(control.Report("convert", 1, 1));
  FillReport(&found, shard, report);
  FillLayers(plan, decided.quantized.outcomes, report);
  if (options.detailed_report) {
    clock->Begin("layers");
    QS_RETURN_IF_ERROR(FillActivations(plan, found, decided.quantized.plan,
                                       shard, preprocessing, control, report));
  }
  decided.recipe = std::move(found.recipe);
  clock->End();
  return decided;
}

}  // namespace quantserve
