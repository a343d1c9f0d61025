// The server's log: stderr, one line for each entry, plain or JSON. Whatever a
// line repeats of what came from outside is escaped, so that nothing can break
// a line, forge one, or speak to a terminal.
//
//   SetUpLog({LogFormat::kJson, LogLevel::kInfo});
//   spdlog::info("{}: …", anything);
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/core/server_options.h"

namespace quantserve {

// Makes spdlog's default logger, and sends to it what gRPC and protobuf log.
// Again, to change it: entries then are as the last call says. Call it first
// before anything of gRPC.
void SetUpLog(const LogConfig& config);

// One finished call. Empty fields are left out.
struct CallRecord {
  absl::string_view rpc;
  absl::Status status;
  absl::Duration duration;
  std::string peer;
  absl::string_view model, variant;
  absl::string_view id;  // the caller's
};

// Whether an entry of that level is written; spares making a record.
bool LogsAt(LogLevel level);
void LogCall(LogLevel level, const CallRecord& call);

// While one lives, what gRPC calls an error is logged at debug: for attempts
// whose failure is reported otherwise.
class QuietGrpc {
 public:
  QuietGrpc();
  ~QuietGrpc();
  QuietGrpc(const QuietGrpc&) = delete;
  QuietGrpc& operator=(const QuietGrpc&) = delete;
};

// As the lines have it: printable ASCII is as it is, but for "\\"; newlines and
// tabs are \n, \r, \t, every other byte is \xNN. At most 4096 bytes of it.
std::string EscapeForLog(absl::string_view text);

}  // namespace quantserve
