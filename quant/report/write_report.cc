#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/report/report.h"

namespace quantserve {
namespace {

absl::Status Failed(const std::string& path, int error) {
  return absl::ErrnoToStatus(
      error, absl::StrCat("can't write the report \"", path, "\""));
}

// 0 or an errno.
int WriteAll(int file, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return written < 0 ? errno : EIO;
    bytes.remove_prefix(written);
  }
  return fsync(file) == 0 ? 0 : errno;
}

// So that the rename outlives a crash, too. Some file systems can't; the file
// is whole either way.
void SyncFolder(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder =
      slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int file = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return;
  fsync(file);
  close(file);
}

absl::Status WriteWhole(const std::string& path, absl::string_view bytes) {
  static std::atomic<int> count{0};
  // Unlike mkstemp's 0600, the mode that the user's umask gives.
  const std::string partial =
      absl::StrCat(path, ".", getpid(), ".", count++, ".partial");
  const int file =
      open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0) return Failed(path, errno);
  int error = WriteAll(file, bytes);
  if (close(file) != 0 && error == 0) error = errno;
  if (error == 0 && rename(partial.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) {
    unlink(partial.c_str());
    return Failed(path, error);
  }
  SyncFolder(path);
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckReportPath(absl::string_view path) {
  if (absl::EndsWith(path, ".html") || absl::EndsWith(path, ".json")) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "the report \"", path, "\" ends in neither \".html\" nor \".json\""));
}

absl::Status WriteReport(const ReportDocument& document,
                         absl::string_view path) {
  QS_RETURN_IF_ERROR(CheckReportPath(path));
  return WriteWhole(std::string(path), absl::EndsWith(path, ".html")
                                           ? ReportHtml(document)
                                           : ReportJson(document));
}

}  // namespace quantserve
