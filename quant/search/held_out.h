// Which samples of a shard are calibrated on and which decide.
#pragma once

#include <cstdint>

namespace quantserve {

struct Split {
  int64_t samples = 0;  // calibrated on in the end: the shard's first ones
  int64_t fit = 0;      // of them, those that decisions are prepared on
  int64_t held_first = 0, held_count = 0;  // those that decide
};

// If the shard has more samples than `samples`, those behind them are held out,
// at most 256; else the last quarter of them. A single sample does both.
Split SplitShard(int64_t shard_size, int64_t samples);

}  // namespace quantserve
