#include "quant/search/shard_notes.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace quantserve {
namespace {

// Ranges of fewer samples miss what the next ones hold.
constexpr int64_t kFew = 300;

bool AllSame(const Shard& shard, int64_t count) {
  for (size_t i = 0; i < shard.num_inputs(); ++i) {
    const Tensor& samples = shard.samples(i);
    const size_t bytes = samples.bytes() / static_cast<size_t>(shard.size());
    const auto* data = samples.data<std::byte>();
    for (int64_t s = 1; s < count; ++s) {
      if (std::memcmp(data, data + bytes * static_cast<size_t>(s), bytes) != 0)
        return false;
    }
  }
  return true;
}

}  // namespace

std::optional<int64_t> FindForeignLabel(const Shard& shard, int64_t first,
                                        int64_t count, int64_t outputs) {
  if (!shard.has_labels()) return std::nullopt;
  for (int64_t i = first; i < first + count; ++i) {
    if (shard.labels()[i] >= outputs) return i;
  }
  return std::nullopt;
}

std::vector<std::string> NotesOnShard(const Shard& shard, const Split& split,
                                      int64_t outputs) {
  std::vector<std::string> notes;
  const std::string name = absl::StrCat("shard \"", shard.name(), "\"");
  const int64_t used =
      std::max(split.samples, split.held_first + split.held_count);
  if (used == 1) {
    notes.push_back(absl::StrCat(
        name,
        " has one sample: ranges fit it alone, and it judges itself; use 300 "
        "or more"));
  } else if (split.samples < kFew) {
    notes.push_back(absl::StrCat("calibrated on ", split.samples,
                                 " samples of ", name, ": ranges of ", kFew,
                                 " or more hold better for others"));
  }
  if (used > 1 && AllSame(shard, used)) {
    notes.push_back(absl::StrCat("all samples of ", name,
                                 " are the same: ranges fit that one only"));
  }
  if (!shard.has_labels() || used == 1) return notes;
  const auto labels = shard.labels().first(static_cast<size_t>(used));
  if (const auto foreign = FindForeignLabel(shard, split.held_first,
                                            split.held_count, outputs)) {
    notes.push_back(absl::StrCat("labels are not used: sample ", *foreign,
                                 " of ", name, " has the label ",
                                 labels[*foreign], ", the model has ", outputs,
                                 outputs == 1 ? " output" : " outputs"));
  } else if (std::all_of(labels.begin(), labels.end(),
                         [&](int64_t l) { return l == labels[0]; })) {
    notes.push_back(absl::StrCat("all labels of ", name, " are ", labels[0],
                                 ": ranges may miss what other classes need"));
  }
  return notes;
}

}  // namespace quantserve
