// Samples of a shard as LibTorch's tensors. Includes LibTorch's headers.
#pragma once

#include <torch/script.h>

#include <vector>

#include "quant/data/shard.h"

namespace quantserve {

// A batch of each input: samples [first, first + count), then zeros.
std::vector<at::Tensor> ShardBatch(const Shard& shard,
                                   const Preprocessing& preprocessing,
                                   int64_t first, int64_t count, int64_t batch);

}  // namespace quantserve
