#include "server/core/lifecycle.h"

#include <algorithm>

#include "server/core/steady_clock.h"

namespace quantserve {

Phase Lifecycle::phase() const {
  MutexLock lock(&mu_);
  return phase_;
}

bool Lifecycle::BecomeReady() {
  MutexLock lock(&mu_);
  if (phase_ >= Phase::kLameDuck) return false;
  phase_ = Phase::kReady;
  return true;
}

bool Lifecycle::BecomeLameDuck() {
  MutexLock lock(&mu_);
  if (phase_ == Phase::kReady) phase_ = Phase::kLameDuck;
  return phase_ == Phase::kLameDuck;
}

void Lifecycle::BecomeDraining() {
  MutexLock lock(&mu_);
  phase_ = Phase::kDraining;
}

absl::Status Lifecycle::Enter() {
  MutexLock lock(&mu_);
  last_call_ = SteadyNow();
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

void Lifecycle::AwaitQuiet(absl::Duration quiet, absl::Duration timeout) {
  const absl::Time deadline = SteadyNow() + timeout;
  MutexLock lock(&mu_);
  while (true) {
    const absl::Time now = SteadyNow();
    const absl::Time wake = std::min(deadline, last_call_ + quiet);
    if (now >= wake) return;
    idle_.WaitFor(&mu_, wake - now);
  }
}

bool Lifecycle::AwaitIdle(absl::Duration timeout) {
  const absl::Time deadline = SteadyNow() + timeout;
  MutexLock lock(&mu_);
  while (in_flight_ > 0) {
    const absl::Time now = SteadyNow();
    if (now >= deadline) return false;
    idle_.WaitFor(&mu_, deadline - now);
  }
  return true;
}

}  // namespace quantserve
