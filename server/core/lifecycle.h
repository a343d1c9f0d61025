// Where the process is between its start and its end, and what is in flight.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "quant/base/mutex.h"

namespace quantserve {

// Forwards only, and any may be left out. A lame duck says that it is not ready
// and still takes what comes.
enum class Phase { kStarting, kReady, kLameDuck, kDraining };

// Thread-safe.
class Lifecycle {
 public:
  Phase phase() const;
  bool ready() const { return phase() == Phase::kReady; }

  // Whether the end has begun.
  bool stopping() const { return phase() >= Phase::kLameDuck; }

  // False if the server stops already.
  bool BecomeReady();
  // Whether it is one now: only what was ready has callers to wait for.
  bool BecomeLameDuck();
  void BecomeDraining();

  // Counts a call in, unless the server drains: then UNAVAILABLE, and nothing
  // is counted.
  absl::Status Enter();
  // Counts it out.
  void Leave();

  // Waits until no call has come for `quiet`, refused ones included, but no
  // longer than `timeout`.
  void AwaitQuiet(absl::Duration quiet, absl::Duration timeout);
  // Waits until nothing is in flight; false if `timeout` passed before.
  bool AwaitIdle(absl::Duration timeout);

 private:
  mutable Mutex mu_;
  CondVar idle_;
  Phase phase_ ABSL_GUARDED_BY(mu_) = Phase::kStarting;
  int64_t in_flight_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Time last_call_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
};

}  // namespace quantserve
