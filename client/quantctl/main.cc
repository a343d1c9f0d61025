// quantctl: finds the sub-command and runs it.
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "client/quantctl/command.h"

namespace quantserve {
namespace {

enum ExitCode { kOk = 0, kFailed = 1, kUsage = 2 };

int Mistake(const std::string& who, absl::string_view message) {
  std::fprintf(stderr, "%s: %s\n", who.c_str(), std::string(message).c_str());
  return kUsage;
}

std::string Overview(const std::vector<Command>& commands) {
  std::string page =
      "Talks to a quantserve_server.\n\n"
      "Usage: quantctl COMMAND [flags]\n\nCommands:\n";
  for (const Command& command : commands) {
    absl::StrAppend(&page, "  ", command.name,
                    std::string(10 - command.name.size(), ' '),
                    command.line.summary, "\n");
  }
  return absl::StrCat(
      page,
      "\nquantctl COMMAND --help shows the flags of a command.\n"
      "Exit codes: 0 for success, 1 if the server refused or failed, 2 for a "
      "mistake\non the command line.\n");
}

int RunCommand(const Command& command,
               const std::vector<std::string>& arguments) {
  const std::string who = absl::StrCat("quantctl ", command.name);
  const auto parsed = Parse(command.line, arguments);
  if (!parsed.ok()) return Mistake(who, parsed.status().message());
  if (parsed->help) {
    std::fputs(UsagePage(command.line).c_str(), stdout);
    return kOk;
  }
  const absl::Status status = command.run(*parsed);
  if (status.ok()) return kOk;
  if (IsUsageError(status)) return Mistake(who, status.message());
  std::fflush(stdout);
  std::fprintf(stderr, "%s: %s: %s\n", who.c_str(),
               absl::StatusCodeToString(status.code()).c_str(),
               std::string(status.message()).c_str());
  return kFailed;
}

int Main(const std::vector<std::string>& arguments) {
  // Debian builds Abseil with its search for cycles of locks, which watches
  // every lock that gRPC takes: a load generator has better uses for the time.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  const std::vector<Command> commands = {
      PredictCommand(),  QuantizeCommand(), StatusCommand(), EvaluateCommand(),
      BenchCommand(),    CompareCommand(),  WaitCommand(),   PromoteCommand(),
      RollbackCommand(), RouteCommand()};
  if (arguments.empty()) {
    std::fputs(Overview(commands).c_str(), stderr);
    return kUsage;
  }
  const std::string& name = arguments[0];
  if (name == "--help" || name == "-h" || name == "help") {
    std::fputs(Overview(commands).c_str(), stdout);
    return kOk;
  }
  for (const Command& command : commands) {
    if (command.name == name) {
      return RunCommand(command, {arguments.begin() + 1, arguments.end()});
    }
  }
  return Mistake("quantctl",
                 absl::StrCat(name[0] == '-' ? "unknown flag " : "no command ",
                              name, "; --help lists all"));
}

}  // namespace
}  // namespace quantserve

int main(int argc, char** argv) {
  return quantserve::Main({argv + 1, argv + argc});
}
