#include "client/cli/command_line.h"

#include <algorithm>

#include "absl/flags/reflection.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace quantserve {
namespace {

constexpr size_t kWidth = 79;
constexpr size_t kIndent = 6;

bool Takes(const CommandLine& line, const std::string& flag) {
  return std::any_of(
      line.groups.begin(), line.groups.end(), [&flag](const FlagGroup& group) {
        return std::find(group.flags.begin(), group.flags.end(), flag) !=
               group.flags.end();
      });
}

// A flag as it was written, taken apart.
struct Token {
  std::string name;
  std::string value;
  bool has_value = false;
  bool negated = false;  // --noname
};

Token TakeApart(const CommandLine& line, absl::string_view text) {
  Token token;
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(text, absl::MaxSplits('=', 1));
  token.name = absl::StrReplaceAll(parts.first, {{"-", "_"}});
  token.has_value = absl::StrContains(text, "=");
  token.value = parts.second;
  if (!Takes(line, token.name) && absl::StartsWith(token.name, "no") &&
      Takes(line, token.name.substr(2))) {
    token.name = token.name.substr(2);
    token.negated = true;
  }
  return token;
}

absl::Status Set(const Token& token, const std::string& value) {
  std::string error;
  if (absl::FindCommandLineFlag(token.name)->ParseFrom(value, &error)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "flag --", token.name, " has the value \"", value, "\": ",
      absl::StrReplaceAll(absl::StripTrailingAsciiWhitespace(error),
                          {{"\n", "; "}})));
}

void AppendWrapped(std::string* page, absl::string_view text) {
  size_t column = 0;
  for (absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    if (column > 0 && column + 1 + word.size() > kWidth) {
      absl::StrAppend(page, "\n");
      column = 0;
    }
    if (column == 0) {
      absl::StrAppend(page, std::string(kIndent, ' '), word);
      column = kIndent + word.size();
    } else {
      absl::StrAppend(page, " ", word);
      column += 1 + word.size();
    }
  }
  absl::StrAppend(page, "\n");
}

}  // namespace

absl::StatusOr<Arguments> Parse(const CommandLine& line,
                                const std::vector<std::string>& arguments) {
  Arguments result;
  bool flags_ended = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& text = arguments[i];
    if (flags_ended || text.size() < 2 || text[0] != '-') {
      result.positional.push_back(text);
      continue;
    }
    if (text == "--") {
      flags_ended = true;
      continue;
    }
    if (text == "-h" || text == "--help" || text == "-help") {
      result.help = true;
      return result;
    }
    absl::string_view stripped = text;
    absl::ConsumePrefix(&stripped, "-");
    absl::ConsumePrefix(&stripped, "-");
    Token token = TakeApart(line, stripped);
    absl::CommandLineFlag* flag = Takes(line, token.name)
                                      ? absl::FindCommandLineFlag(token.name)
                                      : nullptr;
    if (flag == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown flag ", text, "; --help lists all"));
    }
    if (flag->IsOfType<bool>()) {
      if (token.negated && token.has_value) {
        return absl::InvalidArgumentError(
            absl::StrCat("flag --no", token.name, " takes no value"));
      }
      if (!token.has_value) token.value = token.negated ? "false" : "true";
    } else if (token.negated) {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown flag ", text, "; --help lists all"));
    } else if (!token.has_value) {
      if (i + 1 == arguments.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat("flag --", token.name, " needs a value"));
      }
      token.value = arguments[++i];
    }
    const absl::Status set = Set(token, token.value);
    if (!set.ok()) return set;
    result.given.insert(token.name);
  }
  if (result.positional.size() > line.max_positional) {
    return absl::InvalidArgumentError(absl::StrCat(
        "unexpected argument \"", result.positional[line.max_positional],
        "\"; --help shows the usage"));
  }
  return result;
}

std::string UsagePage(const CommandLine& line) {
  std::string page =
      absl::StrCat(line.summary, "\n\nUsage: ", line.synopsis, "\n");
  for (const FlagGroup& group : line.groups) {
    absl::StrAppend(&page, "\n", group.title, ":\n");
    for (const std::string& name : group.flags) {
      const absl::CommandLineFlag* flag = absl::FindCommandLineFlag(name);
      if (flag == nullptr) continue;
      const std::string value = flag->DefaultValue();
      absl::StrAppend(&page, "  --", name);
      // Where the default is no value but a rule, the help text tells it.
      const bool told = absl::StrContains(flag->Help(), "efault:");
      if (!value.empty() && !told && !flag->IsOfType<bool>()) {
        absl::StrAppend(&page, " (default ", value, ")");
      }
      absl::StrAppend(&page, "\n");
      AppendWrapped(&page, flag->Help());
    }
  }
  if (!line.epilogue.empty()) absl::StrAppend(&page, "\n", line.epilogue);
  return page;
}

}  // namespace quantserve
