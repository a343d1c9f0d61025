// Runs a float plan over a shard and watches every value.
#pragma once

#include "absl/status/statusor.h"
#include "quant/base/job_control.h"
#include "quant/data/shard.h"
#include "quant/plan/plan.h"
#include "quant/plan/quantize_plan.h"
#include "quant/ranges/range_estimator.h"

namespace quantserve {

struct CalibrateOptions {
  RangeOptions ranges;
  int64_t samples = 512;  // the shard's first ones
  int64_t batch = 32;     // upper bound for one run
  // Upper bound for the activations of one run; shortens the batch.
  int64_t max_activation_bytes = int64_t{256} << 20;
};

// The ranges of all values of `plan`, found in one pass over the samples
// (phase "ranges"), and a second one (phase "histograms") where the method
// needs it. INVALID_ARGUMENT if the shard's samples are not what the plan takes
// or an activation is not finite; CANCELLED.
absl::StatusOr<RangeMap> Calibrate(const Plan& plan, const Shard& shard,
                                   const Preprocessing& preprocessing,
                                   const CalibrateOptions& options,
                                   const JobControl& control);

}  // namespace quantserve
