// Command lines of the project's programs: Abseil's flags, one usage page for
// each program, one clear line for each mistake.
//
//   const CommandLine line = {"Serves a model.", "server --model=FILE [flags]",
//                             {{"Model", {"model", "labels"}}}, ""};
//   ASSIGN(Arguments args, Parse(line, argc, argv));
//   if (args.help) Print(UsagePage(line));
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace quantserve {

struct FlagGroup {
  std::string title;
  std::vector<std::string> flags;  // names of Abseil flags, as users see them
};

// A program, or one sub-command of it: only the flags named here are taken, so
// that the flags of other parts of the process neither show nor apply.
struct CommandLine {
  std::string summary;   // what it does, a sentence
  std::string synopsis;  // "quantctl predict [flags] FILE"
  std::vector<FlagGroup> groups;
  std::string epilogue;  // examples, exit codes; printed as it is
  size_t max_positional = 0;
};

struct Arguments {
  bool help = false;
  std::vector<std::string> positional;
  std::set<std::string> given;  // names of the flags on the command line
};

// Sets the flags that `arguments` (without the program's name) names: --name,
// --noname, --name=value, --name value; -h and --help; "--" ends the flags.
// INVALID_ARGUMENT in one line: unknown flag, missing or malformed value, too
// many positional arguments.
absl::StatusOr<Arguments> Parse(const CommandLine& line,
                                const std::vector<std::string>& arguments);

// Everything about `line`: each flag with its default and help text.
std::string UsagePage(const CommandLine& line);

}  // namespace quantserve
