// What this process holds of the machine's memory.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"

namespace quantserve {

// Gives what was freed back to the system, where the C library keeps it: after
// a model was loaded or an engine dropped that is as much as the model itself.
// Takes milliseconds; not for the request path.
void ReturnFreedMemory();

struct ProcessMemory {
  int64_t resident_bytes = 0;  // pages of program files included
  int64_t peak_resident_bytes = 0;
  // Of resident_bytes, what belongs to no file: it can't be shared with other
  // processes nor dropped and read again.
  int64_t private_bytes = 0;
};

// UNAVAILABLE where the system does not tell (no /proc).
absl::StatusOr<ProcessMemory> ReadProcessMemory();

// What the system could still give to this process without swapping: of the
// machine, or of its control group if that has less. UNAVAILABLE where the
// system does not tell.
absl::StatusOr<int64_t> AvailableMemoryBytes();

}  // namespace quantserve
