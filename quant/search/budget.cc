#include "quant/search/budget.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "quant/base/status_macros.h"
#include "quant/plan/quantize_plan.h"

namespace quantserve {
namespace {

// A drop of exactly the limit passes in spite of the subtraction's rounding.
constexpr double kRounding = 1e-9;
constexpr int64_t kRankingSamples = 64;

class Search {
 public:
  Search(const Plan& plan, const Recipe& recipe, const BudgetTask& task,
         Scorer* scorer, const JobControl& control)
      : plan_(plan),
        recipe_(recipe),
        budget_(task.budget),
        refit_(task.refit),
        scorer_(*scorer),
        control_(control) {}

  absl::StatusOr<BudgetResult> Run(const Score& score) {
    Remember(0, recipe_, score);
    if (!Holds(score)) {
      QS_RETURN_IF_ERROR(Rank());
      QS_RETURN_IF_ERROR(Restore());
    }
    BudgetResult result = std::move(best_);
    result.report.wanted = Wanted();
    result.report.reached = Holds(result.score);
    result.report.achieved = Achieved(result.score, kept_);
    result.trials = std::move(trials_);
    for (TrialReport& trial : result.trials) {
      trial.kept = kept_ > 0 && trial.what == Title(kept_);
    }
    return result;
  }

 private:
  double Drop(const Score& score) const {
    return score.accuracy && scorer_.accuracy()
               ? *scorer_.accuracy() - *score.accuracy
               : 1 - score.agreement;
  }
  bool Holds(const Score& score) const {
    return (!budget_.max_drop ||
            Drop(score) <= *budget_.max_drop + kRounding) &&
           (!budget_.min_sqnr_db || score.sqnr_db >= *budget_.min_sqnr_db);
  }

  // The layers that run in INT8, the one that gives back most first.
  absl::Status Rank() {
    QS_ASSIGN_OR_RETURN(const QuantizedPlan quantized,
                        QuantizePlan(plan_, recipe_, {}));
    std::vector<std::string> names;
    for (const NodeOutcome& outcome : quantized.outcomes) {
      const bool layer =
          outcome.kind == OpKind::kConv2d || outcome.kind == OpKind::kLinear;
      if (layer && outcome.quantized) names.push_back(outcome.name);
    }
    const auto total = static_cast<int64_t>(names.size());
    std::vector<std::pair<double, std::string>> ranked;
    for (const std::string& name : names) {
      QS_RETURN_IF_ERROR(control_.Report(
          "budget", static_cast<int64_t>(ranked.size()), total));
      QS_ASSIGN_OR_RETURN(const Score score,
                          scorer_.Try(With({name}), nullptr, kRankingSamples));
      ranked.emplace_back(score.sqnr_db, name);
    }
    QS_RETURN_IF_ERROR(control_.Report("budget", total, total));
    std::stable_sort(
        ranked.begin(), ranked.end(),
        [](const auto& a, const auto& b) { return a.first > b.first; });
    for (auto& [sqnr, name] : ranked) ranking_.push_back(std::move(name));
    return absl::OkStatus();
  }

  absl::Status Restore() {
    const size_t most = ranking_.empty() ? 0 : ranking_.size() - 1;
    size_t fails = 0, holds = 0;
    for (size_t count = 1; holds == 0 && fails < most; count *= 2) {
      const size_t restored = std::min(count, most);
      QS_ASSIGN_OR_RETURN(const bool fits, TryHead(restored));
      (fits ? holds : fails) = restored;
    }
    while (holds > fails + 1) {
      const size_t middle = fails + (holds - fails) / 2;
      QS_ASSIGN_OR_RETURN(const bool fits, TryHead(middle));
      (fits ? holds : fails) = middle;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<bool> TryHead(size_t count) {
    Recipe recipe = With(
        {ranking_.begin(), ranking_.begin() + static_cast<int64_t>(count)});
    QS_RETURN_IF_ERROR(refit_(&recipe));
    QS_ASSIGN_OR_RETURN(const Score score, scorer_.Try(recipe, "budget"));
    trials_.push_back(ToTrial(Title(count), score, false));
    Remember(count, std::move(recipe), score);
    return Holds(score);
  }

  // Keeps the cheapest within the budget, or else the closest to it.
  void Remember(size_t count, Recipe recipe, const Score& score) {
    const bool first = best_.recipe.ranges.empty();
    const bool better = Holds(score)
                            ? !Holds(best_.score) || count < kept_
                            : !Holds(best_.score) && Closer(score, best_.score);
    if (!first && !better) return;
    best_.recipe = std::move(recipe);
    best_.score = score;
    kept_ = count;
  }
  bool Closer(const Score& a, const Score& b) const {
    if (budget_.max_drop && Drop(a) != Drop(b)) return Drop(a) < Drop(b);
    return a.sqnr_db > b.sqnr_db;
  }

  Recipe With(const std::vector<std::string>& names) const {
    Recipe recipe = recipe_;
    for (const std::string& name : names) {
      recipe.keep_float.emplace(name, "restored for the accuracy budget");
    }
    return recipe;
  }

  std::string Title(size_t count) const {
    constexpr size_t kNamed = 8;
    const size_t named = std::min(count, kNamed);
    std::string names = absl::StrJoin(
        ranking_.begin(), ranking_.begin() + static_cast<int64_t>(named), ", ");
    if (count > named) {
      absl::StrAppend(&names, " and ", count - named, " more");
    }
    return absl::StrCat("keep ", names, " in FP32");
  }

  std::string Wanted() const {
    std::vector<std::string> wanted;
    if (budget_.max_drop) {
      wanted.push_back(absl::StrFormat(
          scorer_.accuracy() ? "drop of top-1 at most %.4f"
                             : "disagreement with FP32 at most %.4f",
          *budget_.max_drop));
    }
    if (budget_.min_sqnr_db) {
      wanted.push_back(
          absl::StrFormat("SQNR at least %.1f dB", *budget_.min_sqnr_db));
    }
    return absl::StrJoin(wanted, ", ");
  }
  std::string Achieved(const Score& score, size_t restored) const {
    std::vector<std::string> achieved;
    if (budget_.max_drop)
      achieved.push_back(absl::StrFormat("%.4f", Drop(score)));
    if (budget_.min_sqnr_db) {
      achieved.push_back(absl::StrFormat("%.1f dB", score.sqnr_db));
    }
    return absl::StrCat(absl::StrJoin(achieved, ", "), " with ", restored,
                        restored == 1 ? " layer" : " layers", " in FP32");
  }

  const Plan& plan_;
  const Recipe& recipe_;
  const AccuracyBudget& budget_;
  const std::function<absl::Status(Recipe*)>& refit_;
  Scorer& scorer_;
  const JobControl& control_;
  std::vector<std::string> ranking_;
  std::vector<TrialReport> trials_;
  BudgetResult best_;
  size_t kept_ = 0;  // layers that `best_` restores
};

}  // namespace

absl::Status CheckBudget(const AccuracyBudget& budget, bool single_output) {
  if (budget.max_drop && !(*budget.max_drop >= 0 && *budget.max_drop <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_drop is ", *budget.max_drop, ", expected 0 to 1"));
  }
  if (budget.max_drop && single_output) {
    return absl::InvalidArgumentError(
        "max_drop is for classifiers and the model has a single output, "
        "expected min_sqnr_db");
  }
  if (budget.min_sqnr_db && !std::isfinite(*budget.min_sqnr_db)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "min_sqnr_db is ", *budget.min_sqnr_db, ", expected a finite number"));
  }
  return absl::OkStatus();
}

absl::StatusOr<BudgetResult> HoldBudget(const Plan& plan, const Recipe& recipe,
                                        const Score& score,
                                        const BudgetTask& task, Scorer* scorer,
                                        const JobControl& control) {
  return Search(plan, recipe, task, scorer, control).Run(score);
}

}  // namespace quantserve
