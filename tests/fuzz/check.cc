#include "tests/fuzz/check.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace quantserve::fuzz {

void Fail(const char* file, int line, const std::string& what) {
  std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what.c_str());
  std::abort();
}

void CheckRefusal(const absl::Status& refusal) {
  constexpr size_t kLongest = 4096;
  const absl::string_view message = refusal.message();
  const bool printable =
      std::all_of(message.begin(), message.end(),
                  [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
  if (absl::IsInvalidArgument(refusal) && printable && !message.empty() &&
      message.size() <= kLongest) {
    return;
  }
  Fail(__FILE__, __LINE__,
       absl::StrCat("one line for an invalid argument, got ", message.size(),
                    " bytes: ", refusal.ToString()));
}

}  // namespace quantserve::fuzz
