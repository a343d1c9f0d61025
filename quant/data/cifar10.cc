#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "quant/data/readers.h"

namespace quantserve {

absl::StatusOr<RawShard> ReadCifar10(absl::string_view bytes) {
  constexpr size_t kImage = 3 * 32 * 32;
  constexpr size_t kRecord = 1 + kImage;
  constexpr int kClasses = 10;
  if (bytes.empty() || bytes.size() % kRecord != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has ", bytes.size(), " bytes, expected a multiple of ", kRecord,
        " (CIFAR-10 records: 1 label byte and 3072 bytes)"));
  }
  const int64_t count = static_cast<int64_t>(bytes.size() / kRecord);
  RawShard shard;
  shard.samples = Tensor(DType::kU8, {count, 3, 32, 32});
  shard.labels.reserve(count);
  for (int64_t i = 0; i < count; ++i) {
    const char* const record = bytes.data() + i * kRecord;
    const int label = static_cast<uint8_t>(record[0]);
    // The records have no magic number: this is what tells a foreign file.
    if (label >= kClasses) {
      return absl::InvalidArgumentError(
          absl::StrCat("record ", i, " has the label ", label,
                       ", expected 0 to 9 (CIFAR-10 records)"));
    }
    shard.labels.push_back(label);
    std::memcpy(shard.samples.data<uint8_t>() + i * kImage, record + 1, kImage);
  }
  return shard;
}

}  // namespace quantserve
