#include "quant/base/memory.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace quantserve {

void ReturnFreedMemory() {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

absl::StatusOr<ProcessMemory> ReadProcessMemory() {
  std::ifstream file("/proc/self/status");
  ProcessMemory memory;
  int found = 0;
  for (std::string line; std::getline(file, line);) {
    long long kib = 0;  // NOLINT(google-runtime-int): what sscanf wants
    const auto read = [&](const char* format, int64_t* bytes) {
      if (std::sscanf(line.c_str(), format, &kib) != 1) return;
      *bytes = int64_t{kib} * 1024;
      ++found;
    };
    read("VmRSS: %lld kB", &memory.resident_bytes);
    read("VmHWM: %lld kB", &memory.peak_resident_bytes);
    read("RssAnon: %lld kB", &memory.private_bytes);
  }
  if (found != 3) {
    return absl::UnavailableError("/proc/self/status does not tell");
  }
  return memory;
}

absl::StatusOr<int64_t> AvailableMemoryBytes() {
  std::ifstream file("/proc/meminfo");
  int64_t available = -1;
  for (std::string line; std::getline(file, line);) {
    long long kib = 0;  // NOLINT(google-runtime-int): what sscanf wants
    if (std::sscanf(line.c_str(), "MemAvailable: %lld kB", &kib) == 1) {
      available = int64_t{kib} * 1024;
    }
  }
  if (available < 0) {
    return absl::UnavailableError("/proc/meminfo does not tell");
  }
  // "max" or nothing at all: no limit.
  int64_t limit = 0, used = 0;
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> limit &&
      std::ifstream("/sys/fs/cgroup/memory.current") >> used) {
    available = std::min(available, std::max<int64_t>(0, limit - used));
  }
  return available;
}

}  // namespace quantserve
