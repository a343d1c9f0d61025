// SHA-256, by OpenSSL.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace quantserve {

// Lower-case hex. NOT_FOUND if the file cannot be opened, DATA_LOSS if it
// cannot be read.
absl::StatusOr<std::string> Sha256File(const std::string& path);

}  // namespace quantserve
