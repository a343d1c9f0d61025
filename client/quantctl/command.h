// What quantctl's sub-commands have in common.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/command_line.h"
#include "client/client.h"
#include "google/protobuf/message.h"

namespace quantserve {

// Prints its result to stdout. INVALID_ARGUMENT without a call made counts as
// a mistake on the command line: see UsageError.
struct Command {
  std::string name;
  CommandLine line;
  std::function<absl::Status(const Arguments&)> run;
};

Command PredictCommand();
Command QuantizeCommand();
Command StatusCommand();
Command EvaluateCommand();
Command BenchCommand();
Command CompareCommand();
Command WaitCommand();
Command PromoteCommand();
Command RollbackCommand();
Command RouteCommand();

// A mistake on the command line, as opposed to one that the server found.
absl::Status UsageError(absl::string_view message);
bool IsUsageError(const absl::Status& status);

// The flags that every sub-command takes.
FlagGroup CommonFlags();
// Those of commands that go to each replica: see replicas.h.
FlagGroup AdminFlags();
// Those, checked.
enum class Format { kTable, kJson, kCsv };
absl::StatusOr<Format> FormatFlag(bool csv);  // whether it may be CSV
absl::StatusOr<bool> JsonRequested();         // where it may not
absl::StatusOr<ClientOptions> ConnectionOptions();
absl::StatusOr<std::unique_ptr<Client>> Connect();
std::string ServerTarget();
// --model, --variant and --samples, of several sub-commands.
std::string ModelFlag();
std::string VariantFlag();
int64_t SamplesFlag();

// The message as JSON, field names as in the .proto files.
std::string ToJson(const google::protobuf::Message& message);

}  // namespace quantserve
