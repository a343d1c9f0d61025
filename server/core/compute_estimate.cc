#include "server/core/compute_estimate.h"

#include <algorithm>
#include <utility>

namespace quantserve {

ComputeEstimate::ComputeEstimate(std::vector<int64_t> ladder)
    : ladder_(std::move(ladder)), nanoseconds_(ladder_.size()) {}

size_t ComputeEstimate::Rung(int64_t batch) const {
  const auto at = std::lower_bound(ladder_.begin(), ladder_.end(), batch);
  return std::min(static_cast<size_t>(at - ladder_.begin()),
                  ladder_.size() - 1);
}

// Two workers that record at once may lose one of the records, which is no
// harm: there are more to come.
void ComputeEstimate::Record(int64_t batch, absl::Duration took) {
  std::atomic<int64_t>& estimate = nanoseconds_[Rung(batch)];
  const int64_t now = std::max<int64_t>(absl::ToInt64Nanoseconds(took), 1);
  const int64_t before = estimate.load(std::memory_order_relaxed);
  const int64_t after =
      before == 0 || now < before ? now : before + (now - before) / 20;
  estimate.store(after, std::memory_order_relaxed);
}

absl::Duration ComputeEstimate::Of(int64_t batch) const {
  return absl::Nanoseconds(
      nanoseconds_[Rung(batch)].load(std::memory_order_relaxed));
}

absl::Duration ComputeEstimate::PerSample() const {
  absl::Duration best = absl::InfiniteDuration();
  for (int64_t size : ladder_) {
    const absl::Duration whole = Of(size);
    if (whole > absl::ZeroDuration()) best = std::min(best, whole / size);
  }
  return best == absl::InfiniteDuration() ? absl::ZeroDuration() : best;
}

void ComputeEstimate::RecordRefusal(int64_t batch) {
  std::atomic<int64_t>& estimate = nanoseconds_[Rung(batch)];
  const int64_t before = estimate.load(std::memory_order_relaxed);
  estimate.store(before - before / 100, std::memory_order_relaxed);
}

}  // namespace quantserve
