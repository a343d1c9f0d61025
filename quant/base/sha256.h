// SHA-256, by OpenSSL.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quantserve {

// The digest of bytes that come piece by piece. Not thread-safe.
class Sha256Hasher {
 public:
  Sha256Hasher();
  ~Sha256Hasher();
  void Add(absl::string_view bytes);
  // Lower-case hex. The last call.
  std::string Finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// Lower-case hex.
std::string Sha256(absl::string_view bytes);

// Lower-case hex. NOT_FOUND if the file cannot be opened, DATA_LOSS if it
// cannot be read.
absl::StatusOr<std::string> Sha256File(const std::string& path);

// Whether `text` is what these functions return.
bool IsSha256(absl::string_view text);

}  // namespace quantserve
