#include "server/core/shard_store.h"

#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

// The message continues a sentence about the shard.
absl::Status CheckInputs(const Shard& shard,
                         const std::vector<InputSpec>& inputs) {
  if (inputs.empty()) return absl::OkStatus();
  if (shard.num_inputs() != inputs.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has samples for ", shard.num_inputs(), " inputs, expected ",
        inputs.size(), ": ", InputSpecsString(inputs)));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (shard.sample_shape(i) != inputs[i].shape) {
      return absl::InvalidArgumentError(absl::StrCat(
          "has samples of shape ", ShapeString(shard.sample_shape(i)), " for ",
          shard.input_name(i), ", expected ", ShapeString(inputs[i].shape)));
    }
    if (inputs[i].integers && shard.dtype(i) != DType::kI64) {
      return absl::InvalidArgumentError(
          absl::StrCat("has samples of ", DTypeName(shard.dtype(i)), " for ",
                       shard.input_name(i), ", expected int64"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

ShardStore::ShardStore(const std::vector<NamedShard>& shards,
                       const std::string& directory)
    : directory_(directory) {
  MutexLock lock(&mu_);
  for (const NamedShard& shard : shards) {
    entries_[shard.name] = {shard.path, nullptr};
  }
}

void ShardStore::Expect(ReadShardOptions options,
                        std::vector<InputSpec> inputs) {
  if (!inputs.empty()) options.sample_shape = inputs[0].shape;
  MutexLock lock(&mu_);
  expected_ = {std::move(options), std::move(inputs)};
}

absl::StatusOr<Shard> ShardStore::Read(const std::string& path,
                                       const Expected& expected) {
  QS_ASSIGN_OR_RETURN(Shard shard, ReadShard(path, expected.options));
  const absl::Status fits = CheckInputs(shard, expected.inputs);
  if (fits.ok()) return shard;
  return absl::InvalidArgumentError(
      absl::StrCat("shard \"", path, "\" ", fits.message()));
}

absl::StatusOr<std::shared_ptr<const Shard>> ShardStore::Pin(
    const std::string& name) {
  QS_ASSIGN_OR_RETURN(const Entry entry, Find(name));
  Expected expected;
  {
    MutexLock lock(&mu_);
    expected = expected_;
  }
  QS_ASSIGN_OR_RETURN(Shard shard, Read(entry.path, expected));
  auto pinned = std::make_shared<const Shard>(std::move(shard));
  MutexLock lock(&mu_);
  entries_[name].pinned = pinned;
  return pinned;
}

absl::StatusOr<ShardStore::Entry> ShardStore::Find(
    absl::string_view name) const {
  {
    MutexLock lock(&mu_);
    const auto at = entries_.find(std::string(name));
    if (at != entries_.end()) return at->second;
  }
  auto path = directory_.Resolve(name);
  if (path.ok()) return Entry{*std::move(path), nullptr};
  if (!absl::IsNotFound(path.status())) return path.status();
  constexpr size_t kMostNamed = 20;
  std::vector<std::string> names = this->names();
  const bool more = names.size() > kMostNamed;
  if (more) names.resize(kMostNamed);
  return absl::NotFoundError(absl::StrCat(
      "no shard is named \"", absl::CHexEscape(name.substr(0, 64)),
      "\", there are: ", names.empty() ? "none" : absl::StrJoin(names, ", "),
      more ? ", ..." : ""));
}

absl::Status ShardStore::Check(absl::string_view name) const {
  return Find(name).status();
}

absl::StatusOr<std::shared_ptr<const Shard>> ShardStore::Load(
    const std::string& name) const {
  QS_ASSIGN_OR_RETURN(const Entry entry, Find(name));
  Expected expected;
  {
    MutexLock lock(&mu_);
    expected = expected_;
  }
  if (entry.pinned != nullptr) return entry.pinned;
  absl::StatusOr<Shard> shard = Read(entry.path, expected);
  if (shard.ok()) return std::make_shared<const Shard>(*std::move(shard));
  const absl::Status& status = shard.status();
  return absl::Status(
      absl::IsNotFound(status) ? absl::StatusCode::kFailedPrecondition
                               : status.code(),
      absl::StrReplaceAll(status.message(),
                          {{entry.path, absl::StrCat("shard ", name)}}));
}

std::vector<std::string> ShardStore::names() const {
  std::set<std::string> names;
  for (std::string& name : directory_.Names()) names.insert(std::move(name));
  MutexLock lock(&mu_);
  for (const auto& entry : entries_) names.insert(entry.first);
  return {names.begin(), names.end()};
}

}  // namespace quantserve
