#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/data/arrays.h"
#include "quant/data/readers.h"

namespace quantserve {

absl::StatusOr<RawShard> ReadCifar10(ByteStream* file,
                                     const ReadShardOptions& options) {
  constexpr int64_t kImage = 3 * 32 * 32;
  constexpr int64_t kRecord = 1 + kImage;
  constexpr int kClasses = 10;
  const int64_t bytes = file->remaining();
  if (bytes == 0 || bytes % kRecord != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", bytes, " bytes, expected a multiple of ", kRecord,
                     " (CIFAR-10 records: 1 label byte and 3072 bytes)"));
  }
  RawShard shard;
  QS_ASSIGN_OR_RETURN(shard.drawn,
                      DrawSamples(bytes / kRecord, kImage, options));
  Tensor samples(DType::kU8, {shard.drawn.size(), 3, 32, 32});
  shard.labels.reserve(shard.drawn.size());
  const auto store = [&](absl::string_view records) -> absl::Status {
    for (; !records.empty(); records.remove_prefix(kRecord)) {
      const int64_t i = static_cast<int64_t>(shard.labels.size());
      const int label = static_cast<uint8_t>(records[0]);
      // The records have no magic number: this is what tells a foreign file.
      if (label >= kClasses) {
        return absl::InvalidArgumentError(
            absl::StrCat("record ", shard.drawn[i], " has the label ", label,
                         ", expected 0 to 9 (CIFAR-10 records)"));
      }
      shard.labels.push_back(label);
      std::memcpy(samples.data<uint8_t>() + i * kImage, records.data() + 1,
                  kImage);
    }
    return absl::OkStatus();
  };
  QS_RETURN_IF_ERROR(
      ReadRows(file, kRecord, shard.drawn, options.control, store));
  shard.inputs.push_back({kOnlyInput, std::move(samples)});
  return shard;
}

}  // namespace quantserve
