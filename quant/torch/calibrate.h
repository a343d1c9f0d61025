// Runs a float plan over a shard and watches every value.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/base/job_control.h"
#include "quant/data/shard.h"
#include "quant/plan/bias_shifts.h"
#include "quant/plan/plan.h"
#include "quant/plan/recipe.h"
#include "quant/ranges/range_estimator.h"
#include "quant/report/quantization_report.h"

namespace quantserve {

struct CalibrateOptions {
  RangeOptions ranges;
  int64_t samples = 512;  // the shard's first ones
  // Of these, the first so many are also kept apart, for ranges that have not
  // seen the others; 0: none are.
  int64_t split = 0;
  int64_t batch = 32;  // upper bound for one run
  // Upper bound for the activations of one run; shortens the batch.
  int64_t max_activation_bytes = int64_t{256} << 20;
};

// What a calibration saw of every value of a plan. Immutable, thread-safe.
class Calibration {
 public:
  // By any method, whichever was calibrated for; one that needs histograms
  // gives bounds if that one needs none.
  RangeMap Ranges(const RangeOptions& options) const;
  // Of the samples before the split only; of all if there is no split.
  RangeMap RangesBeforeSplit(const RangeOptions& options) const;
  // Of the values that layers read.
  const ChannelMeans& channel_means() const { return means_; }
  // Null if the plan has no value of that name.
  const RangeEstimator* Find(const std::string& value) const;

 private:
  friend class Calibrator;
  std::vector<std::string> names_;
  std::vector<RangeEstimator> estimators_;
  std::vector<RangeEstimator> before_split_;  // empty without a split
  ChannelMeans means_;
};

// Watches all values of `plan` in one pass over the samples (phase "ranges"),
// and a second one (phase "histograms") where the method needs it.
// INVALID_ARGUMENT if the shard's samples are not what the plan takes or an
// activation is not finite; CANCELLED.
absl::StatusOr<Calibration> Calibrate(const Plan& plan, const Shard& shard,
                                      const Preprocessing& preprocessing,
                                      const CalibrateOptions& options,
                                      const JobControl& control);

// What the report shows of an estimator, and of the grid's `range`.
ActivationHistogram HistogramOf(const RangeEstimator& estimator);

}  // namespace quantserve
