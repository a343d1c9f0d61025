// Runs a plan of either form over samples with LibTorch and shows what values
// it computes. Not thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "quant/base/job_control.h"
#include "quant/data/shard.h"
#include "quant/plan/plan.h"

namespace quantserve {

struct ObserveOptions {
  std::vector<ValueId> values;  // those that are shown
  int64_t batch = 32;           // upper bound for one run
  // Upper bound for the activations of one run; shortens the batch.
  int64_t max_activation_bytes = int64_t{256} << 20;
};

class Observer {
 public:
  // `visit(value, numbers)`: the numbers of one batch, row-major, dequantized.
  using Visit = std::function<absl::Status(ValueId, absl::Span<const float>)>;

  // `plan` must outlive the observer. INTERNAL or FAILED_PRECONDITION if
  // LibTorch cannot run it.
  static absl::StatusOr<std::unique_ptr<Observer>> Make(
      const Plan& plan, const ObserveOptions& options);
  virtual ~Observer() = default;

  // Samples in one run.
  virtual int64_t batch() const = 0;

  // Runs `count` samples, at most batch(), and shows each value once.
  virtual absl::Status Run(const Shard& shard,
                           const Preprocessing& preprocessing, int64_t first,
                           int64_t count, const Visit& visit) = 0;

  // Runs samples [first, first + count) batch by batch. CANCELLED.
  absl::Status RunAll(const Shard& shard, const Preprocessing& preprocessing,
                      int64_t first, int64_t count, const JobControl& control,
                      const char* phase, const Visit& visit);
};

// INVALID_ARGUMENT, with both shapes, if the shard's samples are not what the
// plan takes.
absl::Status CheckShard(const Plan& plan, const Shard& shard);

}  // namespace quantserve
