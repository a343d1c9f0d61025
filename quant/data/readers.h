// The shard formats, each read from the bytes of a whole file. ReadShard in
// shard.h is what everybody else calls.
//
// Every reader treats its bytes as hostile: sizes are checked before they are
// used. Errors are INVALID_ARGUMENT; their messages do not name the file, the
// caller puts its name in front. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "quant/tensor/tensor.h"

namespace quantserve {

struct RawShard {
  Tensor samples;               // [N, ...], kU8 or kF32
  std::vector<int64_t> labels;  // empty: the file has none
};

// Records of 1 label byte and 3,072 bytes.
absl::StatusOr<RawShard> ReadCifar10(absl::string_view bytes);

// Samples only.
absl::StatusOr<RawShard> ReadNpyShard(absl::string_view bytes);

// Samples and perhaps labels; the archive's contents may have at most
// `max_bytes` once they are unpacked.
absl::StatusOr<RawShard> ReadNpzShard(const std::string& bytes,
                                      int64_t max_bytes);

// What torch.save writes, read without LibTorch.
absl::StatusOr<RawShard> ReadPtShard(const std::string& bytes,
                                     int64_t max_bytes);

// Which of `names` is the samples' key, and which the labels': the first that
// is there, in the order that shard.h gives; empty if there is none.
struct ShardKeys {
  std::string samples;
  std::string labels;
};
ShardKeys FindShardKeys(const std::vector<std::string>& names);

}  // namespace quantserve
