// Brings a recipe within its accuracy budget.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/base/job_control.h"
#include "quant/plan/plan.h"
#include "quant/plan/recipe.h"
#include "quant/report/quantization_report.h"
#include "quant/search/options.h"
#include "quant/search/scorer.h"

namespace quantserve {

struct BudgetTask {
  AccuracyBudget budget;
  // Adapts what else a recipe says to the layers that it keeps in FP32.
  std::function<absl::Status(Recipe*)> refit;
};

struct BudgetResult {
  Recipe recipe;  // within the budget, or the best found
  Score score;    // of `recipe`
  BudgetReport report;
  std::vector<TrialReport> trials;
};

// INVALID_ARGUMENT, naming the option, for a drop outside 0 to 1, a drop for a
// model with a single output, or an SQNR that is not finite.
absl::Status CheckBudget(const AccuracyBudget& budget, bool single_output);

// `recipe` has the score `score`. If that is beyond the budget, the layers are
// ranked by the SQNR that each gives back when it alone returns to FP32
// (measured on at most 64 held-out samples), and the shortest head of that
// ranking that the budget holds with, by doubling and bisection, stays FP32. At
// least one layer stays INT8: a budget that only FP32 holds is not reachable,
// and the result is the best found. Phase "budget". CANCELLED.
absl::StatusOr<BudgetResult> HoldBudget(const Plan& plan, const Recipe& recipe,
                                        const Score& score,
                                        const BudgetTask& task, Scorer* scorer,
                                        const JobControl& control);

}  // namespace quantserve
