#include "client/quantctl/save.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/quantctl/command.h"

namespace quantserve {
namespace {

bool IsPage(const std::string& path) { return absl::EndsWith(path, ".html"); }

// Whether all of it is on the disk.
bool WriteAll(int file, const std::string& bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = write(file, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    done += static_cast<size_t>(n);
  }
  return fsync(file) == 0;
}

}  // namespace

absl::Status CheckReportFile(const std::string& path) {
  if (!IsPage(path) && !absl::EndsWith(path, ".json")) {
    return UsageError(absl::StrCat("flag --report is \"", path,
                                   "\", want a name that ends in .html or "
                                   ".json"));
  }
  const std::filesystem::path folder =
      std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!folder.empty() && !std::filesystem::is_directory(folder, error)) {
    return UsageError(absl::StrCat("flag --report is \"", path,
                                   "\", but there is no folder ",
                                   folder.string()));
  }
  return absl::OkStatus();
}

absl::Status SaveReport(const v1::QuantizeResult& result,
                        const std::string& path) {
  const std::string& bytes =
      IsPage(path) ? result.report_html() : result.report_json();
  if (bytes.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the server sent no report for ", path));
  }
  const auto failed = [&path] {
    const int error = errno;
    return absl::ErrnoToStatus(error, absl::StrCat("cannot write ", path));
  };
  std::string temporary = path + ".XXXXXX";
  const int file = mkstemp(temporary.data());
  if (file < 0) return failed();
  // As a file that is written in place would be.
  const mode_t mask = umask(0);
  umask(mask);
  absl::Status status;
  if (fchmod(file, 0666 & ~mask) != 0 || !WriteAll(file, bytes)) {
    status = failed();
  }
  if (close(file) != 0 && status.ok()) status = failed();
  if (status.ok() && std::rename(temporary.c_str(), path.c_str()) != 0) {
    status = failed();
  }
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

}  // namespace quantserve
