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

namespace quantserve {

struct CalibrateOptions {
  RangeOptions ranges;
  int64_t samples = 512;  // the shard's first ones
  int64_t batch = 32;     // upper bound for one run
  // Upper bound for the activations of one run; shortens the batch.
  int64_t max_activation_bytes = int64_t{256} << 20;
};

// What a calibration saw of every value of a plan. Immutable, thread-safe.
class Calibration {
 public:
  // By any method; one that needs histograms gives bounds where the method that
  // was calibrated for needs none.
  RangeMap Ranges(const RangeOptions& options) const;
  // Of the values that layers read.
  const ChannelMeans& channel_means() const { return means_; }

 private:
  friend class Calibrator;
  std::vector<std::string> names_;
  std::vector<RangeEstimator> estimators_;
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

}  // namespace quantserve
