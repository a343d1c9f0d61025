#include "quant/search/held_out.h"

#include <algorithm>

namespace quantserve {

Split SplitShard(int64_t shard_size, int64_t samples) {
  constexpr int64_t kMost = 256;
  Split split;
  split.samples = std::min(samples, shard_size);
  if (shard_size > split.samples) {
    split.fit = split.samples;
    split.held_first = split.samples;
    split.held_count = std::min(kMost, shard_size - split.samples);
    return split;
  }
  split.held_count = std::clamp<int64_t>(split.samples / 4, 1, kMost);
  split.held_first = split.samples - split.held_count;
  split.fit = std::max<int64_t>(1, split.held_first);
  return split;
}

}  // namespace quantserve
