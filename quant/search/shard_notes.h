// What a person should know about the samples before trusting what was found
// on them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "quant/data/shard.h"
#include "quant/search/held_out.h"

namespace quantserve {

// The first sample of [first, first + count) whose label a model with `outputs`
// outputs cannot have; none for a shard without labels.
std::optional<int64_t> FindForeignLabel(const Shard& shard, int64_t first,
                                        int64_t count, int64_t outputs);

// One sentence for each: few samples, samples that are all the same, labels
// that are all the same, labels that a model with `outputs` outputs cannot
// have. Usually none. Of the samples that `split` uses; thread-safe.
std::vector<std::string> NotesOnShard(const Shard& shard, const Split& split,
                                      int64_t outputs);

}  // namespace quantserve
