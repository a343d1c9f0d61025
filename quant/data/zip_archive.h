// A ZIP archive in memory, read with bounds: the container of .npz and .pt.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct zip;

namespace quantserve {

// Errors are INVALID_ARGUMENT. Not thread-safe.
class ZipArchive {
 public:
  // Reads the directory of `bytes`, which must outlive the archive. Refused:
  // what is no ZIP, is truncated, has no or too many entries, an entry without
  // a sane name, two entries of one name, an encrypted one, one that claims to
  // unpack to more than its packed bytes can hold, or contents of more than
  // `max_bytes` altogether.
  static absl::StatusOr<ZipArchive> Open(const std::string& bytes,
                                         int64_t max_bytes);

  // The entries' names, in the archive's order.
  const std::vector<std::string>& names() const { return names_; }
  bool Has(absl::string_view name) const;

  // The unpacked bytes of an entry, their checksum verified.
  absl::StatusOr<std::string> Read(absl::string_view name);

 private:
  struct Discard {
    void operator()(zip* archive) const;
  };
  ZipArchive() = default;
  std::unique_ptr<zip, Discard> zip_;
  std::vector<std::string> names_;
  std::vector<uint64_t> sizes_;
};

}  // namespace quantserve
