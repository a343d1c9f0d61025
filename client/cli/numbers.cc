#include "client/cli/numbers.h"

#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace quantserve {
namespace {

template <typename T, typename Read>
absl::StatusOr<std::vector<T>> ParseList(absl::string_view flag,
                                         absl::string_view text,
                                         absl::string_view wanted, Read read) {
  std::vector<T> numbers;
  if (text.empty()) return numbers;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    if (!read(part, &numbers.emplace_back())) {
      return absl::InvalidArgumentError(
          absl::StrCat("flag --", flag, " has \"", part, "\", want ", wanted,
                       " with commas between them"));
    }
  }
  return numbers;
}

}  // namespace

absl::StatusOr<std::vector<int64_t>> ParseIntegers(absl::string_view flag,
                                                   absl::string_view text) {
  return ParseList<int64_t>(flag, text, "integers", absl::SimpleAtoi<int64_t>);
}

absl::StatusOr<std::vector<double>> ParseNumbers(absl::string_view flag,
                                                 absl::string_view text) {
  return ParseList<double>(
      flag, text, "numbers", [](absl::string_view part, double* number) {
        return absl::SimpleAtod(part, number) && std::isfinite(*number);
      });
}

}  // namespace quantserve
