#include "quant/base/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <random>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;

// NAME.partial-0123456789abcdef: random, so that machines that share a folder
// need not know of each other, and behind the last dot, because LibTorch writes
// the name before it into the file.
constexpr char kMark[] = ".partial-";
constexpr size_t kMarkLength = sizeof(kMark) - 1;
constexpr size_t kDigits = 16;

std::string TemporaryName(const std::string& path) {
  std::random_device random;
  const uint64_t number = (uint64_t{random()} << 32) | random();
  return absl::StrCat(path, kMark, absl::Hex(number, absl::kZeroPad16));
}

bool IsTemporaryName(absl::string_view name, absl::string_view prefix) {
  if (!absl::StartsWith(name, prefix) || name.size() < kMarkLength + kDigits) {
    return false;
  }
  const absl::string_view digits = name.substr(name.size() - kDigits);
  name.remove_suffix(kDigits);
  return absl::EndsWith(name, kMark) &&
         std::all_of(digits.begin(), digits.end(), [](char c) {
           return absl::ascii_isxdigit(static_cast<unsigned char>(c));
         });
}

absl::Status Failed(const std::string& path, int error) {
  return absl::Status(absl::ErrnoToStatusCode(error),
                      absl::StrCat("cannot write ", path, ": ",
                                   std::generic_category().message(error)));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

bool StillThere(int fd, const std::string& path) {
  struct stat open_file {
  }, named{};
  return fstat(fd, &open_file) == 0 && stat(path.c_str(), &named) == 0 &&
         open_file.st_ino == named.st_ino && open_file.st_dev == named.st_dev;
}

// A new temporary file, locked for as long as it is open: that is how others
// see that its writer lives. -1 and errno if it cannot be made.
int OpenTemporary(const std::string& path, std::string* temporary) {
  constexpr int kAttempts = 8;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    *temporary = TemporaryName(path);
    const int fd =
        open(temporary->c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST) continue;
    if (fd < 0) return -1;
    // Between these two lines somebody may take it for a leftover. A file
    // system without locks is written to all the same.
    const bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
    if ((locked || errno != EWOULDBLOCK) && StillThere(fd, *temporary)) {
      return fd;
    }
    close(fd);
    unlink(temporary->c_str());
  }
  errno = EBUSY;
  return -1;
}

absl::Status WriteAll(int fd, absl::string_view bytes,
                      const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed(path, errno);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

fs::path FolderOf(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  return folder.empty() ? fs::path(".") : folder;
}

// Renaming would put a file in the place of a device: /dev/null would be one.
absl::Status CheckPlace(const std::string& path) {
  std::error_code error;
  const fs::file_status there = fs::status(path, error);
  if (!fs::exists(there) || fs::is_regular_file(there)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("cannot write ", path, ": it is ",
                   fs::is_directory(there) ? "a folder" : "no regular file"));
}

// `fill` gets the open file and its name.
absl::Status Write(
    const std::string& path,
    const std::function<absl::Status(int, const std::string&)>& fill) {
  if (absl::Status place = CheckPlace(path); !place.ok()) return place;
  const fs::path folder = FolderOf(path);
  RemoveLeftovers(folder.string(),
                  absl::StrCat(fs::path(path).filename().string(), kMark));
  std::string temporary;
  const Descriptor file(OpenTemporary(path, &temporary));
  if (file.get() < 0) return Failed(path, errno);
  absl::Status status = fill(file.get(), temporary);
  // The data before the name: a crash between them must not show a name whose
  // data was never written.
  if (status.ok() && fsync(file.get()) != 0) status = Failed(path, errno);
  if (status.ok() && std::rename(temporary.c_str(), path.c_str()) != 0) {
    status = Failed(path, errno);
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  // Some file systems cannot do this for a folder; the file is whole anyway.
  const Descriptor opened(
      open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.get() >= 0) fsync(opened.get());
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteFileAtomically(const std::string& path,
                                 absl::string_view bytes) {
  return Write(path, [&](int fd, const std::string&) {
    return WriteAll(fd, bytes, path);
  });
}

absl::Status WriteFileAtomically(
    const std::string& path,
    const std::function<absl::Status(const std::string& temporary)>& write) {
  return Write(path, [&](int, const std::string& temporary) {
    return write(temporary);
  });
}

void RemoveLeftovers(const std::string& directory, absl::string_view prefix) {
  std::error_code error;
  fs::directory_iterator entries(directory, error);
  while (!error && entries != fs::directory_iterator()) {
    const std::string path = entries->path().string();
    entries.increment(error);
    if (!IsTemporaryName(fs::path(path).filename().string(), prefix)) continue;
    const Descriptor file(
        open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (file.get() < 0 || flock(file.get(), LOCK_EX | LOCK_NB) != 0) continue;
    if (StillThere(file.get(), path)) unlink(path.c_str());
  }
}

}  // namespace quantserve
