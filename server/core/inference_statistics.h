// Sums over a variant's requests and batches since the start, as the Open
// Inference Protocol's ModelStatistics tells them.
#pragma once

#include <cstdint>
#include <map>

#include "absl/time/time.h"
#include "quant/base/mutex.h"

namespace quantserve {

struct CountedTime {
  uint64_t count = 0;
  absl::Duration time;
  void Add(absl::Duration duration) {
    ++count;
    time += duration;
  }
};

// Thread-safe.
class InferenceStatistics {
 public:
  struct Sums {
    CountedTime success, fail;  // requests; queue and compute together
    CountedTime queue;
    CountedTime batches;  // computing
    uint64_t samples = 0;
    absl::Time last = absl::UnixEpoch();
    std::map<int64_t, CountedTime> by_batch_size;
  };

  void RecordSuccess(int64_t samples, absl::Duration queue,
                     absl::Duration compute);
  void RecordFailure(absl::Duration took);
  void RecordBatch(int64_t samples, absl::Duration compute);
  Sums Get() const;

 private:
  mutable Mutex mu_;
  Sums sums_ ABSL_GUARDED_BY(mu_);
};

}  // namespace quantserve
