// Runs a plan node by node on one batch, so that a node can be changed after
// what it will read is known: sequential bias correction takes one run.
// Not thread-safe.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/data/shard.h"
#include "quant/plan/plan.h"
#include "quant/tensor/tensor.h"

namespace quantserve {

class PlanStepper {
 public:
  // Starts with samples [first, first + count). `plan` must outlive the
  // stepper.
  static absl::StatusOr<std::unique_ptr<PlanStepper>> Make(
      const Plan& plan, const Shard& shard, const Preprocessing& preprocessing,
      int64_t first, int64_t count);
  virtual ~PlanStepper() = default;

  // Runs the next node of the plan, or `node`, a changed form of it with the
  // same inputs and outputs. Values that no later node reads are released.
  virtual absl::Status Step(const Node& node) = 0;

  // The mean over the samples of a value that is still held: FP32, the value's
  // shape.
  virtual absl::StatusOr<Tensor> Mean(ValueId id) const = 0;
};

// The mean of each output channel of a kConv2d or kLinear in FP32 (its clamp
// left out) over positions, for an input whose mean over samples is `mean`: a
// layer is linear, so this is its mean output over the samples, too.
absl::StatusOr<std::vector<double>> MeanOutput(const Plan& plan,
                                               const Node& node,
                                               const Tensor& mean);

}  // namespace quantserve
