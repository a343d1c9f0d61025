#include "server/core/held_out.h"

#include <algorithm>

namespace quantserve {

HeldOut SplitForHoldOut(int64_t size, int64_t wanted) {
  constexpr int64_t kMaxHeldOut = 512;
  if (size <= 1) return {size, 0, size};
  const int64_t least = std::max<int64_t>(1, std::min(size / 4, kMaxHeldOut));
  const int64_t calibrate = std::min(wanted, size - least);
  return {calibrate, calibrate, std::min(size - calibrate, kMaxHeldOut)};
}

}  // namespace quantserve
