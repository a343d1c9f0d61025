#include "quant/torch/wall.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"

namespace quantserve {
namespace {

constexpr char kScriptFailed[] = "The following operation failed";

// What the script itself raised: "builtins.ValueError: want 32 pixels", the
// last line that is neither of the source nor of the list of calls, without
// the exception's name.
std::string Raised(const std::string& text) {
  std::string raised = kScriptFailed;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line.empty() || absl::ascii_isspace(line[0])) continue;
    const size_t colon = line.find(": ");
    const bool named =
        colon != absl::string_view::npos && colon > 0 &&
        std::all_of(line.begin(), line.begin() + colon, [](unsigned char c) {
          return absl::ascii_isalnum(c) || c == '.' || c == '_';
        });
    if (named) raised = std::string(line.substr(colon + 2));
  }
  return raised;
}

}  // namespace

std::string FirstLine(const std::exception& error) {
  std::string text;
  if (const auto* c10_error = dynamic_cast<const c10::Error*>(&error)) {
    text = c10_error->what_without_backtrace();
  } else {
    text = error.what();
  }
  // TorchScript errors put their message last, behind the script's source.
  const std::string::size_type at = text.find("RuntimeError: ");
  if (at != std::string::npos) {
    text = text.substr(at + 14);
  } else if (absl::StartsWith(text, kScriptFailed)) {
    text = Raised(text);
  }
  std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(
      absl::StripAsciiWhitespace(text), absl::MaxSplits('\n', 1));
  return std::string(parts.first);
}

}  // namespace quantserve
