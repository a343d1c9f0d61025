#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "quant/base/status_macros.h"
#include "quant/data/npy.h"
#include "quant/data/readers.h"
#include "quant/data/zip_archive.h"

namespace quantserve {
namespace {

constexpr absl::string_view kEnding = ".npy";

absl::Status InEntry(absl::string_view key, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat("entry \"", key, "\" ", status.message()));
}

}  // namespace

absl::StatusOr<RawShard> ReadNpzShard(const std::string& bytes,
                                      int64_t max_bytes) {
  QS_ASSIGN_OR_RETURN(ZipArchive archive, ZipArchive::Open(bytes, max_bytes));
  std::vector<std::string> names;
  for (const std::string& name : archive.names()) {
    if (absl::EndsWith(name, kEnding)) {
      names.push_back(name.substr(0, name.size() - kEnding.size()));
    }
  }
  const ShardKeys keys = FindShardKeys(names);
  if (keys.samples.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has the arrays \"", absl::StrJoin(names, "\", \""),
        "\", expected samples under x, images, inputs, data or x_*"));
  }
  RawShard shard;
  {
    QS_ASSIGN_OR_RETURN(const std::string content,
                        archive.Read(absl::StrCat(keys.samples, kEnding)));
    const absl::StatusOr<NpyArray> array = ParseNpy(content);
    if (!array.ok()) return InEntry(keys.samples, array.status());
    absl::StatusOr<Tensor> samples = NpySamples(*array);
    if (!samples.ok()) return InEntry(keys.samples, samples.status());
    shard.samples = *std::move(samples);
  }
  if (keys.labels.empty()) return shard;
  QS_ASSIGN_OR_RETURN(const std::string content,
                      archive.Read(absl::StrCat(keys.labels, kEnding)));
  const absl::StatusOr<NpyArray> array = ParseNpy(content);
  if (!array.ok()) return InEntry(keys.labels, array.status());
  absl::StatusOr<std::vector<int64_t>> labels = NpyLabels(*array);
  if (!labels.ok()) return InEntry(keys.labels, labels.status());
  shard.labels = *std::move(labels);
  if (shard.labels.empty()) {
    return InEntry(keys.labels, absl::InvalidArgumentError("has no labels"));
  }
  return shard;
}

}  // namespace quantserve
