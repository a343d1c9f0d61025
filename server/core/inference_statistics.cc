#include "server/core/inference_statistics.h"

#include "absl/time/clock.h"

namespace quantserve {

void InferenceStatistics::RecordSuccess(int64_t samples, absl::Duration queue,
                                        absl::Duration compute) {
  const absl::Time now = absl::Now();
  MutexLock lock(&mu_);
  sums_.success.Add(queue + compute);
  sums_.queue.Add(queue);
  sums_.samples += static_cast<uint64_t>(samples);
  sums_.last = now;
}

void InferenceStatistics::RecordFailure(absl::Duration took) {
  MutexLock lock(&mu_);
  sums_.fail.Add(took);
}

void InferenceStatistics::RecordBatch(int64_t samples, absl::Duration compute) {
  MutexLock lock(&mu_);
  sums_.batches.Add(compute);
  sums_.by_batch_size[samples].Add(compute);
}

InferenceStatistics::Sums InferenceStatistics::Get() const {
  MutexLock lock(&mu_);
  return sums_;
}

}  // namespace quantserve
