// A ZIP archive on disk, read with bounds: the container of .npz and .pt.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "quant/data/byte_stream.h"

struct zip;

namespace quantserve {

// Errors are INVALID_ARGUMENT. Not thread-safe.
class ZipArchive {
 public:
  // Reads the directory of the file `path`. Refused: what is no ZIP, is
  // truncated, has no or too many entries, an entry without a sane name, two
  // entries of one name, an encrypted one, one that claims to unpack to more
  // than its packed bytes can hold, or a file or contents of more than
  // `max_bytes` altogether.
  static absl::StatusOr<ZipArchive> OpenFile(const std::string& path,
                                             int64_t max_bytes);

  // The entries' names, in the archive's order.
  const std::vector<std::string>& names() const { return names_; }
  bool Has(absl::string_view name) const;

  // The unpacked bytes of an entry, front to back, which must end before the
  // archive does. Finish() verifies their checksum.
  absl::StatusOr<std::unique_ptr<ByteStream>> Open(absl::string_view name);
  // All of them, their checksum verified; at most 2 MiB.
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
