#include "quant/base/one_line.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"

namespace quantserve {

absl::Status OneLine(const absl::Status& status, size_t most) {
  const absl::string_view whole = status.message();
  size_t end = whole.size();
  if (end > most) {
    // Not in the middle of a UTF-8 character.
    for (end = most; end > 0 && (whole[end] & 0xc0) == 0x80;) --end;
  }
  std::string message(whole.substr(0, end));
  for (char& c : message) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = '?';
  }
  if (end < whole.size()) message += "...";
  return absl::Status(status.code(), message);
}

}  // namespace quantserve
