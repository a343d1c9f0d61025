// Runs candidates on held-out samples and compares them with FP32.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/base/job_control.h"
#include "quant/data/shard.h"
#include "quant/eval/evaluate.h"
#include "quant/plan/plan.h"
#include "quant/plan/recipe.h"
#include "quant/report/quantization_report.h"

namespace quantserve {

struct Score {
  double sqnr_db = 0;              // over all outputs together
  double agreement = 0;            // top-1 of the first output
  std::optional<double> accuracy;  // top-1, with labels that the model has
};

struct ScorerOptions {
  int64_t first = 0, count = 0;  // samples of the shard
  int64_t batch = 32;
};

// Keeps the FP32 outputs. Not thread-safe.
class Scorer {
 public:
  // The plan, the shard and the job control must outlive the scorer.
  static absl::StatusOr<std::unique_ptr<Scorer>> Make(
      const Plan& float_plan, const Shard& shard,
      const Preprocessing& preprocessing, const ScorerOptions& options,
      const JobControl& control);

  // Quantizes the plan by the recipe and runs it on the first `samples`
  // held-out samples (0: all). Runs with LibTorch, as the torchscript engine
  // does. Reports progress in `phase`; nullptr: none, and can be cancelled.
  absl::StatusOr<Score> Try(const Recipe& recipe, const char* phase,
                            int64_t samples = 0);

  // FP32's own accuracy; none without labels.
  std::optional<double> accuracy() const { return float_first_.accuracy; }
  bool single_output() const { return float_first_.outputs_per_sample == 1; }
  int64_t samples() const { return options_.count; }

 private:
  // All outputs of some samples, and the first one apart.
  struct Outputs {
    Evaluation all, first;
  };
  Scorer(const Plan& plan, const Shard& shard,
         const Preprocessing& preprocessing, const ScorerOptions& options,
         const JobControl& control)
      : plan_(plan),
        shard_(shard),
        preprocessing_(preprocessing),
        options_(options),
        control_(control) {}
  absl::StatusOr<Outputs> Run(const Plan& plan, int64_t samples,
                              const char* phase) const;

  const Plan& plan_;
  const Shard& shard_;
  const Preprocessing preprocessing_;
  const ScorerOptions options_;
  const JobControl& control_;
  Evaluation float_all_, float_first_;
};

// A row of the report.
TrialReport ToTrial(std::string what, const Score& score, bool kept);

}  // namespace quantserve
