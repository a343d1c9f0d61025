#include "client/load/latency_histogram.h"

#include <algorithm>
#include <cmath>

namespace quantserve {
namespace {

constexpr int kBits = 7;  // 128 buckets an octave
constexpr int64_t kPerOctave = int64_t{1} << kBits;
constexpr int64_t kMost = (int64_t{1} << 42) - 1;

// Values below 256 ns have a bucket each; of larger ones the eight leading bits
// count: 0b1xxxxxxx followed by `shift` bits that are dropped.
size_t BucketOf(int64_t value) {
  if (value < 2 * kPerOctave) return static_cast<size_t>(value);
  const int shift = 63 - __builtin_clzll(value) - kBits;
  return static_cast<size_t>(shift * kPerOctave + (value >> shift));
}

// The largest value of a bucket.
int64_t Top(size_t bucket) {
  const auto b = static_cast<int64_t>(bucket);
  if (b < 2 * kPerOctave) return b;
  const int64_t shift = b / kPerOctave - 1;
  return ((b - shift * kPerOctave + 1) << shift) - 1;
}

}  // namespace

void LatencyHistogram::Record(absl::Duration duration) {
  const int64_t value =
      std::clamp<int64_t>(absl::ToInt64Nanoseconds(duration), 0, kMost);
  const size_t bucket = BucketOf(value);
  if (bucket >= counts_.size()) counts_.resize(bucket + 1);
  ++counts_[bucket];
  ++count_;
  max_ = std::max(max_, value);
}

void LatencyHistogram::Merge(const LatencyHistogram& other) {
  if (other.counts_.size() > counts_.size()) {
    counts_.resize(other.counts_.size());
  }
  for (size_t i = 0; i < other.counts_.size(); ++i) {
    counts_[i] += other.counts_[i];
  }
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

absl::Duration LatencyHistogram::Percentile(double share) const {
  if (count_ == 0) return absl::ZeroDuration();
  const double rank = std::ceil(share * static_cast<double>(count_));
  const auto wanted =
      std::clamp<int64_t>(static_cast<int64_t>(rank), 1, count_);
  int64_t seen = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen >= wanted) return absl::Nanoseconds(std::min(Top(i), max_));
  }
  return max();
}

}  // namespace quantserve
