// A directory of shards that requests may name.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quantserve {

// A shard is a file of the directory, or a folder of images. Nothing outside is
// ever read: names are those that IsValidName takes, so that none has a slash,
// and links may lead to other places inside only. Looks anew at each call.
// Thread-safe.
class ShardDirectory {
 public:
  // Empty: there is none, and no names.
  explicit ShardDirectory(std::string path) : path_(std::move(path)) {}

  // INVALID_ARGUMENT if there is no such directory.
  absl::Status Check() const;

  // Where the shard of that name is, free of links. NOT_FOUND if there is none;
  // FAILED_PRECONDITION if it is, or has in it, a link that leads out or
  // nowhere, or if it holds more than a million files.
  absl::StatusOr<std::string> Resolve(absl::string_view name) const;

  // At most a thousand of them, in order, links or not.
  std::vector<std::string> Names() const;

 private:
  const std::string path_;
};

}  // namespace quantserve
