#include "quant/search/search.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "quant/base/memory.h"
#include "quant/base/status_macros.h"
#include "quant/plan/bias_shifts.h"
#include "quant/plan/passes/equalize.h"
#include "quant/search/bias_correction.h"
#include "quant/search/budget.h"
#include "quant/search/equalization.h"
#include "quant/search/function_ranges.h"
#include "quant/search/shard_notes.h"

namespace quantserve {
namespace {

// A change has to be worth more than this to be kept: less is chance.
constexpr double kWorthwhileDb = 0.05;
constexpr double kMeasuredDb = 0.25;

struct Candidate {
  Recipe recipe;
  Score score;
};

class RecipeSearch {
 public:
  RecipeSearch(const Plan& plan, const Shard& shard,
               const Preprocessing& preprocessing, const SearchOptions& options,
               const JobControl& control)
      : plan_(plan),
        shard_(shard),
        preprocessing_(preprocessing),
        options_(options),
        control_(control) {}

  absl::StatusOr<FoundRecipe> Run() {
    result_.split = SplitShard(shard_.size(), options_.samples);
    QS_RETURN_IF_ERROR(CheckLayers());
    result_.notes = NotesOnShard(shard_, result_.split,
                                 plan_.value(plan_.outputs[0]).elements());
    QS_ASSIGN_OR_RETURN(result_.calibration, CalibrateOn(plan_));
    ScorerOptions scorer;
    scorer.first = result_.split.held_first;
    scorer.count = result_.split.held_count;
    scorer.batch = options_.batch;
    QS_ASSIGN_OR_RETURN(
        scorer_, Scorer::Make(plan_, shard_, preprocessing_, scorer, control_));
    QS_RETURN_IF_ERROR(CheckBudget(options_.budget, scorer_->single_output()));
    best_.recipe.weight_bits = options_.weight_bits;
    best_.recipe.keep_float = options_.keep_float;
    QS_RETURN_IF_ERROR(ChooseRanges());
    QS_RETURN_IF_ERROR(ChooseEqualization());
    QS_RETURN_IF_ERROR(ChooseBiasCorrection());
    if (!options_.budget.empty()) QS_RETURN_IF_ERROR(Restore());
    result_.recipe = std::move(best_.recipe);
    result_.score = best_.score;
    return std::move(result_);
  }

 private:
  absl::Status CheckLayers() const {
    for (const auto& [name, reason] : options_.keep_float) {
      const bool known =
          std::any_of(plan_.nodes.begin(), plan_.nodes.end(),
                      [&](const Node& node) { return node.name == name; });
      if (known) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "keep_fp32 names the layer \"", name, "\", which the model lacks"));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::shared_ptr<const Calibration>> CalibrateOn(
      const Plan& plan) const {
    CalibrateOptions calibrate;
    calibrate.ranges = options_.ranges;
    calibrate.samples = result_.split.samples;
    const bool apart = result_.split.held_first < result_.split.samples;
    calibrate.split = apart ? result_.split.fit : 0;
    calibrate.batch = options_.batch;
    QS_ASSIGN_OR_RETURN(
        Calibration calibration,
        Calibrate(plan, shard_, preprocessing_, calibrate, control_));
    ReturnFreedMemory();
    return std::make_shared<const Calibration>(std::move(calibration));
  }

  // Ranges that know nothing of the held-out samples choose the method; the
  // final ones know all samples that were asked for.
  absl::Status ChooseRanges() {
    result_.ranges = options_.ranges;
    if (options_.ranges.method == RangeMethod::kAuto) {
      QS_RETURN_IF_ERROR(ChooseMethod());
    }
    best_.recipe.ranges = result_.calibration->Ranges(result_.ranges);
    QS_ASSIGN_OR_RETURN(best_.score, scorer_->Try(best_.recipe, "search"));
    if (options_.ranges.method != RangeMethod::kAuto) {
      result_.trials.push_back(
          ToTrial(Title(result_.ranges), best_.score, true));
    }
    return ChooseFunctionRanges();
  }

  absl::Status ChooseFunctionRanges() {
    Candidate candidate = best_;
    if (FitRangesToFunctions(plan_, *result_.calibration,
                             &candidate.recipe.ranges) == 0) {
      return absl::OkStatus();
    }
    QS_ASSIGN_OR_RETURN(candidate.score,
                        scorer_->Try(candidate.recipe, "search"));
    fit_to_functions_ = Better(candidate.score);
    result_.trials.push_back(ToTrial("ranges fitted to the functions behind",
                                     candidate.score, fit_to_functions_));
    if (fit_to_functions_) best_ = std::move(candidate);
    return absl::OkStatus();
  }

  absl::Status ChooseMethod() {
    std::vector<RangeOptions> methods;
    for (RangeMethod method :
         {RangeMethod::kMse, RangeMethod::kMinMax, RangeMethod::kMovingAverage,
          RangeMethod::kEntropy}) {
      methods.push_back(options_.ranges);
      methods.back().method = method;
    }
    for (double percentile : {99.99, 99.999}) {
      methods.push_back(options_.ranges);
      methods.back().method = RangeMethod::kPercentile;
      methods.back().percentile = percentile;
    }
    const size_t first = result_.trials.size();
    size_t best = 0;
    for (size_t i = 0; i < methods.size(); ++i) {
      Recipe recipe = best_.recipe;
      recipe.ranges = result_.calibration->RangesBeforeSplit(methods[i]);
      QS_ASSIGN_OR_RETURN(const Score score, scorer_->Try(recipe, "search"));
      result_.trials.push_back(ToTrial(Title(methods[i]), score, false));
      if (score.sqnr_db > result_.trials[first + best].sqnr_db) best = i;
    }
    result_.trials[first + best].kept = true;
    result_.ranges = methods[best];
    return absl::OkStatus();
  }

  absl::Status ChooseEqualization() {
    if (options_.equalize == EqualizeMode::kOff) return absl::OkStatus();
    if (options_.equalize == EqualizeMode::kAuto &&
        !EqualizationMayHelp(plan_)) {
      return absl::OkStatus();
    }
    QS_RETURN_IF_ERROR(control_.Report("equalize", 0, 1));
    Candidate candidate = best_;
    candidate.recipe.equalizations = FindEqualizations(plan_);
    if (candidate.recipe.equalizations.empty()) {
      if (options_.equalize == EqualizeMode::kOn) {
        result_.notes.push_back(
            "equalization was asked for and the model has no pair of layers "
            "that it applies to");
      }
      return absl::OkStatus();
    }
    QS_ASSIGN_OR_RETURN(const Plan equalized,
                        Equalize(plan_, candidate.recipe.equalizations));
    QS_RETURN_IF_ERROR(control_.Report("equalize", 1, 1));
    absl::StatusOr<std::shared_ptr<const Calibration>> calibration =
        CalibrateOn(equalized);
    QS_RETURN_IF_ERROR(calibration.status());
    candidate.recipe.ranges = (*calibration)->Ranges(result_.ranges);
    if (fit_to_functions_) {
      FitRangesToFunctions(equalized, **calibration, &candidate.recipe.ranges);
    }
    QS_ASSIGN_OR_RETURN(candidate.score,
                        scorer_->Try(candidate.recipe, "search"));
    const bool keep =
        options_.equalize == EqualizeMode::kOn || Better(candidate.score);
    result_.trials.push_back(ToTrial("equalization", candidate.score, keep));
    if (keep) {
      best_ = std::move(candidate);
      result_.calibration = *std::move(calibration);
    }
    return absl::OkStatus();
  }

  absl::Status ChooseBiasCorrection() {
    const BiasCorrection wanted = options_.bias_correction;
    if (wanted == BiasCorrection::kNone) return absl::OkStatus();
    const Candidate plain = best_;
    for (BiasCorrection correction :
         {BiasCorrection::kAnalytic, BiasCorrection::kEmpirical}) {
      if (wanted != BiasCorrection::kAuto && wanted != correction) continue;
      Candidate candidate = plain;
      QS_ASSIGN_OR_RETURN(candidate.recipe.bias_shifts,
                          Shifts(correction, candidate.recipe));
      QS_ASSIGN_OR_RETURN(candidate.score,
                          scorer_->Try(candidate.recipe, "search"));
      // The closed form has nothing to overfit; what was measured on a few
      // samples has to show that it is more than chance.
      const double least =
          correction == BiasCorrection::kEmpirical ? kMeasuredDb : 0;
      const bool keep = wanted != BiasCorrection::kAuto ||
                        candidate.score.sqnr_db > best_.score.sqnr_db + least;
      result_.trials.push_back(ToTrial(
          absl::StrCat("bias correction ", BiasCorrectionName(correction)),
          candidate.score, false));
      if (keep) {
        best_ = std::move(candidate);
        kept_correction_ = result_.trials.size();
        correction_ = correction;
      }
    }
    if (kept_correction_ > 0) result_.trials[kept_correction_ - 1].kept = true;
    return absl::OkStatus();
  }

  absl::StatusOr<std::map<std::string, std::vector<float>>> Shifts(
      BiasCorrection correction, const Recipe& recipe) const {
    if (correction == BiasCorrection::kAnalytic) {
      QS_ASSIGN_OR_RETURN(const Plan equalized,
                          Equalize(plan_, recipe.equalizations));
      return AnalyticBiasShifts(equalized, result_.calibration->channel_means(),
                                options_.weight_bits);
    }
    EmpiricalBiasOptions empirical;
    empirical.samples = std::min(empirical.samples, result_.split.fit);
    return EmpiricalBiasShifts(plan_, recipe, shard_, preprocessing_, empirical,
                               control_);
  }

  absl::Status Restore() {
    // Measured shifts belong to the layers before them as these were.
    const auto refit = [this](Recipe* recipe) -> absl::Status {
      if (correction_ != BiasCorrection::kEmpirical) return absl::OkStatus();
      QS_ASSIGN_OR_RETURN(recipe->bias_shifts, Shifts(correction_, *recipe));
      return absl::OkStatus();
    };
    QS_ASSIGN_OR_RETURN(
        BudgetResult budget,
        HoldBudget(plan_, best_.recipe, best_.score, {options_.budget, refit},
                   scorer_.get(), control_));
    result_.budget = std::move(budget.report);
    for (TrialReport& trial : budget.trials) {
      result_.trials.push_back(std::move(trial));
    }
    best_ = {std::move(budget.recipe), budget.score};
    return absl::OkStatus();
  }

  bool Better(const Score& score) const {
    return score.sqnr_db > best_.score.sqnr_db + kWorthwhileDb;
  }

  static std::string Title(const RangeOptions& ranges) {
    std::string title = absl::StrCat("ranges ", RangeMethodName(ranges.method));
    if (ranges.method == RangeMethod::kPercentile) {
      absl::StrAppend(&title, absl::StrFormat(" %g", ranges.percentile));
    }
    return title;
  }

  const Plan& plan_;
  const Shard& shard_;
  const Preprocessing& preprocessing_;
  const SearchOptions& options_;
  const JobControl& control_;
  std::unique_ptr<Scorer> scorer_;
  FoundRecipe result_;
  Candidate best_;
  BiasCorrection correction_ = BiasCorrection::kNone;  // that `best_` has
  size_t kept_correction_ = 0;  // 1 + its index into the trials; 0: none
  bool fit_to_functions_ = false;
};

}  // namespace

absl::StatusOr<FoundRecipe> FindRecipe(const Plan& plan, const Shard& shard,
                                       const Preprocessing& preprocessing,
                                       const SearchOptions& options,
                                       const JobControl& control) {
  return RecipeSearch(plan, shard, preprocessing, options, control).Run();
}

}  // namespace quantserve
