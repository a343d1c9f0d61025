#include "tests/fuzz/memory_file.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/fuzz/check.h"

namespace quantserve::fuzz {

MemoryFile::MemoryFile(const std::string& name) {
  std::string directory =
      std::filesystem::temp_directory_path() / "quantserve_fuzz_XXXXXX";
  QS_FUZZ_CHECK(mkdtemp(directory.data()) != nullptr);
  directory_ = directory;
  path_ = absl::StrCat(directory, "/", name);
  file_ = memfd_create(name.c_str(), MFD_CLOEXEC);
  QS_FUZZ_CHECK(file_ >= 0);
  // The name is a link, for its ending's sake.
  const std::string target = absl::StrCat("/proc/self/fd/", file_);
  QS_FUZZ_CHECK(symlink(target.c_str(), path_.c_str()) == 0);
}

MemoryFile::~MemoryFile() {
  close(file_);
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void MemoryFile::Write(absl::string_view bytes) const {
  QS_FUZZ_CHECK(ftruncate(file_, 0) == 0);
  QS_FUZZ_CHECK(pwrite(file_, bytes.data(), bytes.size(), 0) ==
                static_cast<ssize_t>(bytes.size()));
}

}  // namespace quantserve::fuzz
