#include "server/core/shard_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "quant/base/status_macros.h"

namespace quantserve {

ShardStore::ShardStore(const std::vector<NamedShard>& shards) {
  MutexLock lock(&mu_);
  for (const NamedShard& shard : shards) {
    entries_[shard.name] = {shard.path, nullptr};
  }
}

void ShardStore::Expect(ReadShardOptions options) {
  MutexLock lock(&mu_);
  options_ = std::move(options);
}

absl::StatusOr<std::shared_ptr<const Shard>> ShardStore::Pin(
    const std::string& name) {
  QS_RETURN_IF_ERROR(Check(name));
  std::string path;
  ReadShardOptions options;
  {
    MutexLock lock(&mu_);
    path = entries_[name].path;
    options = options_;
  }
  QS_ASSIGN_OR_RETURN(Shard shard, ReadShard(path, options));
  auto pinned = std::make_shared<const Shard>(std::move(shard));
  MutexLock lock(&mu_);
  entries_[name].pinned = pinned;
  return pinned;
}

absl::Status ShardStore::Check(absl::string_view name) const {
  MutexLock lock(&mu_);
  if (entries_.count(std::string(name)) > 0) return absl::OkStatus();
  std::vector<std::string> names;
  for (const auto& entry : entries_) names.push_back(entry.first);
  return absl::NotFoundError(absl::StrCat(
      "no shard is named \"", name,
      "\", there are: ", names.empty() ? "none" : absl::StrJoin(names, ", ")));
}

absl::StatusOr<std::shared_ptr<const Shard>> ShardStore::Load(
    const std::string& name) const {
  QS_RETURN_IF_ERROR(Check(name));
  Entry entry;
  ReadShardOptions options;
  {
    MutexLock lock(&mu_);
    entry = entries_.find(name)->second;
    options = options_;
  }
  if (entry.pinned != nullptr) return entry.pinned;
  absl::StatusOr<Shard> shard = ReadShard(entry.path, options);
  if (shard.ok()) return std::make_shared<const Shard>(*std::move(shard));
  const absl::Status& status = shard.status();
  return absl::Status(
      absl::IsNotFound(status) ? absl::StatusCode::kFailedPrecondition
                               : status.code(),
      absl::StrReplaceAll(status.message(),
                          {{entry.path, absl::StrCat("shard ", name)}}));
}

std::vector<std::string> ShardStore::names() const {
  MutexLock lock(&mu_);
  std::vector<std::string> names;
  for (const auto& entry : entries_) names.push_back(entry.first);
  return names;
}

}  // namespace quantserve
