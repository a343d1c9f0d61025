// The shard formats. ReadShard in shard.h is what everybody else calls.
//
// Every reader treats its file as hostile: sizes are checked before they are
// used. Errors are INVALID_ARGUMENT (and CANCELLED, if the options' control
// says so); their messages do not name the file, the caller puts its name in
// front. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/data/byte_stream.h"
#include "quant/data/draw.h"
#include "quant/data/read_options.h"
#include "quant/data/shard.h"

namespace quantserve {

// What Shard::Make wants.
struct RawShard {
  std::vector<ShardInput> inputs;
  std::vector<int64_t> labels;  // empty: the file has none
  DrawnSamples drawn;
};

// Records of 1 label byte and 3,072 bytes. Only the labels of drawn samples are
// looked at.
absl::StatusOr<RawShard> ReadCifar10(ByteStream* file,
                                     const ReadShardOptions& options);

// Samples only.
absl::StatusOr<RawShard> ReadNpyShard(std::unique_ptr<ByteStream> file,
                                      const ReadShardOptions& options);

// Samples and perhaps labels.
absl::StatusOr<RawShard> ReadNpzShard(const std::string& path,
                                      const ReadShardOptions& options);

// What torch.save writes, read without LibTorch.
absl::StatusOr<RawShard> ReadPtShard(const std::string& path,
                                     const ReadShardOptions& options);

// Images in a folder, or in one folder for each class.
absl::StatusOr<RawShard> ReadImageFolder(const std::string& path,
                                         const ReadShardOptions& options);

}  // namespace quantserve
