#include "server/core/lifecycle.h"

#include "server/core/steady_clock.h"

namespace quantserve {

Phase Lifecycle::phase() const {
  MutexLock lock(&mu_);
  return phase_;
}

bool Lifecycle::BecomeReady() {
  MutexLock lock(&mu_);
  if (phase_ == Phase::kDraining) return false;
  phase_ = Phase::kReady;
  return true;
}

void Lifecycle::BecomeDraining() {
  MutexLock lock(&mu_);
  phase_ = Phase::kDraining;
}

absl::Status Lifecycle::Enter() {
  MutexLock lock(&mu_);
  if (phase_ == Phase::kDraining) {
    return absl::UnavailableError("the server is shutting down");
  }
  ++in_flight_;
  return absl::OkStatus();
}

void Lifecycle::Leave() {
  MutexLock lock(&mu_);
  if (--in_flight_ == 0) idle_.NotifyAll();
}

bool Lifecycle::AwaitIdle(absl::Duration timeout) {
  const absl::Time deadline = SteadyNow() + timeout;
  MutexLock lock(&mu_);
  while (in_flight_ > 0) {
    const absl::Duration left = deadline - SteadyNow();
    if (left <= absl::ZeroDuration()) return false;
    idle_.WaitFor(&mu_, left);
  }
  return true;
}

}  // namespace quantserve
