// A file that is not on a disk, for readers that want a path.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace quantserve::fuzz {

// Its path has the ending that it is given. Not thread-safe.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& name);
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  // Replaces what is in it.
  void Write(absl::string_view bytes) const;
  const std::string& path() const { return path_; }

 private:
  std::string directory_, path_;
  int file_ = -1;
};

}  // namespace quantserve::fuzz
