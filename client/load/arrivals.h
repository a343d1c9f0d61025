// When an open loop's requests are meant to be sent.
#pragma once

#include <cstdint>
#include <random>

#include "absl/time/time.h"

namespace quantserve {

enum class ArrivalProcess { kPoisson, kConstant };

// The schedule depends on nothing but its arguments: the answers to earlier
// requests never move a later one. Not thread-safe.
class Arrivals {
 public:
  // `rate`: requests a second, > 0.
  Arrivals(ArrivalProcess process, double rate, uint64_t seed)
      : process_(process), rate_(rate), random_(seed) {}

  // The next request's time, from the start; never before the last one's.
  // Constant: 0, 1/rate, 2/rate … Poisson: gaps are exponential, the first one
  // included.
  absl::Duration Next();

 private:
  const ArrivalProcess process_;
  const double rate_;
  std::mt19937_64 random_;
  int64_t count_ = 0;
  double poisson_ = 0;  // seconds
};

}  // namespace quantserve
