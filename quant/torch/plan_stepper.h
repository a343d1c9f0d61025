// Runs a plan node by node on one batch, so that a node can be changed after
// what it will read is known: sequential bias correction takes one run.
// Not thread-safe.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/data/shard.h"
#include "quant/plan/plan.h"

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
  // The same without going on: Step comes next, with the same node or another
  // form of it.
  virtual absl::Status Preview(const Node& node) = 0;
};

struct ChannelDifference {
  std::vector<double> mean;        // of what is wanted
  std::vector<double> difference;  // mean of wanted - got
};

// Compares a value of two plans that were stepped side by side, channel by
// channel (of dimension 1; of the last if `last`). With `active_only` the
// difference is averaged over those positions where one of the two is not 0: a
// bias behind a ReLU changes nothing elsewhere.
absl::StatusOr<ChannelDifference> CompareChannels(const PlanStepper& wanted,
                                                  ValueId wanted_id,
                                                  const PlanStepper& got,
                                                  ValueId got_id, bool last,
                                                  bool active_only);

}  // namespace quantserve
