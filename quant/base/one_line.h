// Errors about what somebody else wrote.
#pragma once

#include <cstddef>

#include "absl/status/status.h"

namespace quantserve {

// `status` with a message that fits on one line whatever it repeats: control
// characters are "?", and after `most` bytes it ends with "...".
absl::Status OneLine(const absl::Status& status, size_t most = 1000);

}  // namespace quantserve
