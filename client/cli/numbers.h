// Lists of numbers as flags have them.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quantserve {

// "3,32,32" and "0.485,0.456,0.406"; an empty text is an empty list.
// INVALID_ARGUMENT naming `flag` and the part that is no (finite) number.
absl::StatusOr<std::vector<int64_t>> ParseIntegers(absl::string_view flag,
                                                   absl::string_view text);
absl::StatusOr<std::vector<double>> ParseNumbers(absl::string_view flag,
                                                 absl::string_view text);

}  // namespace quantserve
