// Reading a whole file with a bound.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace quantserve {

// The bytes of the regular file `path`. NOT_FOUND if there is none;
// INVALID_ARGUMENT, naming the path, if it is not a regular file, is empty,
// or has more than `max_bytes`; PERMISSION_DENIED if it can't be opened.
// Thread-safe.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path,
                                          int64_t max_bytes);

}  // namespace quantserve
