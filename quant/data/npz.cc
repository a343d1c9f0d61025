#include <optional>
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

absl::StatusOr<StoredArray> OpenEntry(const std::string& key,
                                      ZipArchive* archive) {
  const std::string where = absl::StrCat("entry \"", key, "\" ");
  QS_ASSIGN_OR_RETURN(auto stream, archive->Open(absl::StrCat(key, kEnding)));
  absl::StatusOr<StoredArray> array = OpenNpy(std::move(stream));
  if (!array.ok()) {
    return absl::Status(array.status().code(),
                        absl::StrCat(where, array.status().message()));
  }
  array->name = key;
  array->where = where;
  return array;
}

}  // namespace

absl::StatusOr<RawShard> ReadNpzShard(const std::string& path,
                                      const ReadShardOptions& options) {
  QS_ASSIGN_OR_RETURN(ZipArchive archive,
                      ZipArchive::OpenFile(path, options.max_bytes));
  std::vector<std::string> names;
  for (const std::string& name : archive.names()) {
    if (absl::EndsWith(name, kEnding)) {
      names.push_back(name.substr(0, name.size() - kEnding.size()));
    }
  }
  QS_ASSIGN_OR_RETURN(const ShardKeys keys, FindShardKeys(names));
  if (keys.inputs.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("has the arrays \"", absl::StrJoin(names, "\", \""),
                     "\", expected ", kSampleKeys));
  }
  std::vector<StoredArray> inputs;
  for (const std::string& key : keys.inputs) {
    QS_ASSIGN_OR_RETURN(StoredArray input, OpenEntry(key, &archive));
    inputs.push_back(std::move(input));
  }
  std::optional<StoredArray> labels;
  if (!keys.labels.empty()) {
    QS_ASSIGN_OR_RETURN(labels, OpenEntry(keys.labels, &archive));
  }
  return ReadArrays(inputs, labels ? &*labels : nullptr, options);
}

}  // namespace quantserve
