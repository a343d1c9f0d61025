// Time that never jumps, for durations.
#pragma once

#include <chrono>

#include "absl/time/time.h"

namespace quantserve {

// Meaningful only as a difference with another SteadyNow().
inline absl::Time SteadyNow() {
  return absl::UnixEpoch() +
         absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace quantserve
