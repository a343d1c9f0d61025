// Which samples to calibrate on and which to judge the result by.
#pragma once

#include <cstdint>

namespace quantserve {

// The calibration shard divided: the first `calibrate` samples, and `held_out`
// samples from `first` on.
struct HeldOut {
  int64_t calibrate = 0;
  int64_t first = 0;
  int64_t held_out = 0;
};

// Of a shard of `size` >= 1 samples, of which `wanted` >= 1 are to be
// calibrated on. What lies behind those is held out, at most 512 samples; where
// nothing does, the shard's last quarter. A shard of one sample serves for
// both.
HeldOut SplitForHoldOut(int64_t size, int64_t wanted);

}  // namespace quantserve
