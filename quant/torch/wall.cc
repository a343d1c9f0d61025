#include "quant/torch/wall.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace quantserve {

std::string FirstLine(const std::exception& error) {
  std::string text;
  if (const auto* c10_error = dynamic_cast<const c10::Error*>(&error)) {
    text = c10_error->what_without_backtrace();
  } else {
    text = error.what();
  }
  // TorchScript errors put their message last, behind the script's source.
  const std::string::size_type at = text.find("RuntimeError: ");
  if (at != std::string::npos) text = text.substr(at + 14);
  std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(
      absl::StripAsciiWhitespace(text), absl::MaxSplits('\n', 1));
  return std::string(parts.first);
}

}  // namespace quantserve
