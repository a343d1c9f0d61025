// How long a variant takes for a batch, learnt from the batches that it ran.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace quantserve {

// Low rather than high: a request is refused only if it can't be answered in
// time, so one slow run must not count for long. A shorter time counts at once,
// a longer one by a twentieth, and each refusal lowers the estimate a little,
// so that wrong ones are found out by the next measurement. Thread-safe.
class ComputeEstimate {
 public:
  // `ladder`: the sizes that batches are padded to, ascending.
  explicit ComputeEstimate(std::vector<int64_t> ladder);

  // What a run of `batch` samples took.
  void Record(int64_t batch, absl::Duration took);
  // Zero while nothing is known. 1 <= batch.
  absl::Duration Of(int64_t batch) const;
  // Of one sample in the batch size that is cheapest for each sample.
  absl::Duration PerSample() const;
  // A request of `batch` was refused by this estimate.
  void RecordRefusal(int64_t batch);

  // The size that `batch` is padded to; the largest for any larger one.
  int64_t Padded(int64_t batch) const { return ladder_[Rung(batch)]; }

 private:
  size_t Rung(int64_t batch) const;

  const std::vector<int64_t> ladder_;
  std::vector<std::atomic<int64_t>> nanoseconds_;  // one for each rung; 0: none
};

}  // namespace quantserve
