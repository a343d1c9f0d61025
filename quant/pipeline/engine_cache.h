// Small files that make a restart faster. Never trusted: whoever reads one
// checks it, and losing one costs time only.
#pragma once

#include <string>

namespace quantserve {

// Thread-safe; several processes may share a directory.
class EngineCache {
 public:
  // An empty directory name switches the cache off. The directory is made at
  // the first Store.
  explicit EngineCache(std::string directory)
      : directory_(std::move(directory)) {}

  // The entry's text, or "" if there is none that can be read or it has more
  // than 16 MB. `key` is a file name.
  std::string Load(const std::string& key) const;
  // Replaces the entry in one step; silent if that fails.
  void Store(const std::string& key, const std::string& text) const;

 private:
  const std::string directory_;
};

}  // namespace quantserve
