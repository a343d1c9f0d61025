#include "client/load/arrivals.h"

namespace quantserve {

absl::Duration Arrivals::Next() {
  if (process_ == ArrivalProcess::kConstant) {
    // Not a sum: that would drift.
    return absl::Seconds(static_cast<double>(count_++) / rate_);
  }
  poisson_ += std::exponential_distribution<double>(rate_)(random_);
  return absl::Seconds(poisson_);
}

}  // namespace quantserve
