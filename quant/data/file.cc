#include "quant/data/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

absl::Status NotRegular(const std::string& path) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", path, "\" is not a regular file"));
}

// Looked at before it is opened: opening a device may do something.
absl::Status CheckKind(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found || path.empty()) {
    return absl::NotFoundError(absl::StrCat("there is no file \"", path, "\""));
  }
  if (error == std::errc::too_many_symbolic_link_levels) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", path, "\" is a symbolic link that leads back to itself"));
  }
  if (status.type() == fs::file_type::none) {
    return absl::PermissionDeniedError(
        absl::StrCat("\"", path, "\" can't be looked at: ", error.message()));
  }
  if (status.type() != fs::file_type::regular) return NotRegular(path);
  return absl::OkStatus();
}

}  // namespace

FileStream::FileStream(std::string path, int file, int64_t size)
    : ByteStream(size), path_(std::move(path)), file_(file) {}

FileStream::~FileStream() { close(file_); }

absl::StatusOr<std::unique_ptr<FileStream>> FileStream::Open(
    const std::string& path) {
  QS_RETURN_IF_ERROR(CheckKind(path));
  // Without waiting, should the file have become a pipe in the meantime.
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    return absl::PermissionDeniedError(absl::StrCat(
        "\"", path, "\" can't be opened for reading: ", std::strerror(errno)));
  }
  struct stat about {};
  const bool known = fstat(file, &about) == 0;
  std::unique_ptr<FileStream> stream(
      new FileStream(path, file, known ? about.st_size : 0));
  if (!known || !S_ISREG(about.st_mode)) return NotRegular(path);
  return stream;
}

absl::Status FileStream::DoRead(absl::Span<char> to) {
  while (!to.empty()) {
    const ssize_t n = pread(file_, to.data(), to.size(), at_);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", path_, "\" can't be read: ", std::strerror(errno)));
    }
    if (n == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", path_, "\" became shorter while it was read"));
    }
    at_ += n;
    to.remove_prefix(n);
  }
  return absl::OkStatus();
}

absl::Status FileStream::DoSkip(int64_t bytes) {
  at_ += bytes;
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path,
                                          int64_t max_bytes) {
  QS_ASSIGN_OR_RETURN(const auto stream, FileStream::Open(path));
  const int64_t size = stream->remaining();
  if (size == 0) {
    return absl::InvalidArgumentError(absl::StrCat("\"", path, "\" is empty"));
  }
  if (size > max_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("\"", path, "\" has ", size,
                                                   " bytes, at most ",
                                                   max_bytes, " are allowed"));
  }
  std::string bytes(size, '\0');
  QS_RETURN_IF_ERROR(stream->Read(absl::MakeSpan(bytes)));
  return bytes;
}

absl::StatusOr<int64_t> FileBytes(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) {
    return absl::NotFoundError(absl::StrCat("cannot read ", path));
  }
  return static_cast<int64_t>(size);
}

}  // namespace quantserve
