#include "server/core/shard_directory.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "server/core/server_options.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostNames = 1000;
constexpr int64_t kMostFiles = 1000000;

// Both without links.
bool IsWithin(const fs::path& path, const fs::path& directory) {
  const auto [end, rest] = std::mismatch(directory.begin(), directory.end(),
                                         path.begin(), path.end());
  return end == directory.end();
}

absl::Status LeadsOut(absl::string_view name) {
  return absl::FailedPreconditionError(
      absl::StrCat("shard \"", name,
                   "\" is or holds a link that leads out of the directory of "
                   "shards, or nowhere"));
}

// Of a folder: that none of its links leads out.
absl::Status CheckLinks(const fs::path& folder, const fs::path& directory,
                        absl::string_view name) {
  std::error_code error;
  int64_t files = 0;
  for (fs::recursive_directory_iterator at(folder, error), end;
       !error && at != end; at.increment(error)) {
    if (++files > kMostFiles) {
      return absl::FailedPreconditionError(absl::StrCat(
          "shard \"", name, "\" holds more than ", kMostFiles, " files"));
    }
    if (!at->is_symlink(error)) continue;
    const fs::path target = fs::canonical(at->path(), error);
    if (error || !IsWithin(target, directory)) return LeadsOut(name);
  }
  if (!error) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("shard \"", name, "\" can't be listed"));
}

}  // namespace

absl::Status ShardDirectory::Check() const {
  std::error_code error;
  if (path_.empty() || fs::is_directory(path_, error)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("shard_dir: there is no directory ", path_));
}

absl::StatusOr<std::string> ShardDirectory::Resolve(
    absl::string_view name) const {
  const auto none = absl::NotFoundError("there is no such shard");
  if (path_.empty() || !IsValidName(name)) return none;
  std::error_code error;
  const fs::path directory = fs::canonical(path_, error);
  if (error) return none;
  const fs::path entry = directory / std::string(name);
  if (!fs::exists(fs::symlink_status(entry, error))) return none;
  const fs::path path = fs::canonical(entry, error);
  if (error || !IsWithin(path, directory)) return LeadsOut(name);
  if (fs::is_directory(path, error)) {
    const absl::Status inside = CheckLinks(path, directory, name);
    if (!inside.ok()) return inside;
  }
  return path.string();
}

std::vector<std::string> ShardDirectory::Names() const {
  std::vector<std::string> names;
  std::error_code error;
  if (path_.empty()) return names;
  for (fs::directory_iterator at(path_, error), end;
       !error && at != end && names.size() < kMostNames; at.increment(error)) {
    std::string name = at->path().filename().string();
    if (IsValidName(name)) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace quantserve
