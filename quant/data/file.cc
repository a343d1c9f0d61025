#include "quant/data/file.h"

#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace quantserve {

absl::StatusOr<std::string> ReadWholeFile(const std::string& path,
                                          int64_t max_bytes) {
  namespace fs = std::filesystem;
  std::error_code error;
  // Looked at before it is opened: opening a pipe would wait for its writer.
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found || path.empty()) {
    return absl::NotFoundError(absl::StrCat("there is no file \"", path, "\""));
  }
  if (status.type() == fs::file_type::none) {
    return absl::PermissionDeniedError(
        absl::StrCat("\"", path, "\" can't be looked at: ", error.message()));
  }
  if (status.type() != fs::file_type::regular) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", path, "\" is not a regular file"));
  }
  const uintmax_t size = fs::file_size(path, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", path, "\" has no size: ", error.message()));
  }
  if (size == 0) {
    return absl::InvalidArgumentError(absl::StrCat("\"", path, "\" is empty"));
  }
  if (max_bytes < 0 || size > static_cast<uintmax_t>(max_bytes)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", path, "\" has ", size,
                                                   " bytes, at most ",
                                                   max_bytes, " are allowed"));
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return absl::PermissionDeniedError(
        absl::StrCat("\"", path, "\" can't be opened for reading"));
  }
  std::string bytes(size, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(size));
  if (static_cast<uintmax_t>(in.gcount()) != size) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", path, "\" became shorter while it was read"));
  }
  return bytes;
}

}  // namespace quantserve
