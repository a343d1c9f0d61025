// Durations, counted so that percentiles of millions of calls take a few
// kilobytes and add up across windows.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace quantserve {

// Buckets grow with the duration: each octave of nanoseconds has 128 of them,
// so that a percentile is at most 1/128 (0.8 %) too high and never too low.
// Durations from 2^42 ns (73 minutes) on count as that. Thread-compatible.
class LatencyHistogram {
 public:
  // Negative durations count as zero.
  void Record(absl::Duration duration);
  void Merge(const LatencyHistogram& other);

  int64_t count() const { return count_; }
  absl::Duration max() const { return absl::Nanoseconds(max_); }
  // Nearest rank: the least duration that `share` of all do not exceed, 0.99
  // for p99; the least one for 0. Zero if nothing was recorded.
  absl::Duration Percentile(double share) const;

 private:
  std::vector<int64_t> counts_;  // as far as the largest needs it
  int64_t count_ = 0;
  int64_t max_ = 0;  // nanoseconds
};

}  // namespace quantserve
