// From flags and the configuration file to options.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "quantserve/v1/config.pb.h"
#include "server/core/server_options.h"

namespace quantserve {

// Reads a file in protobuf's text format. INVALID_ARGUMENT (NOT_FOUND if there
// is none) in one line that names the file, the line and the column.
absl::StatusOr<v1::ServerConfig> ReadConfigFile(const std::string& path);

// Fills in defaults, resolves shards and validates. A calibration or test shard
// is the name of a shard, or NAME=PATH, or a PATH, which then is named
// "calibration" or "test". INVALID_ARGUMENT in one line.
absl::StatusOr<ServerOptions> ToServerOptions(const v1::ServerConfig& config);

// "NAME=PATH", or "PATH" with the file's name without its ending as NAME.
NamedShard ParseNamedShard(absl::string_view text);

// "plain", "json"; "debug", "info", "warn", "error". INVALID_ARGUMENT for any
// other.
absl::StatusOr<LogFormat> ParseLogFormat(absl::string_view name);
absl::StatusOr<LogLevel> ParseLogLevel(absl::string_view name);

// One class name on each line; blank lines at the end don't count. NOT_FOUND,
// or INVALID_ARGUMENT if a line is empty or the file holds none or more than
// 65,536 names.
absl::StatusOr<std::vector<std::string>> ReadLabels(const std::string& path);

}  // namespace quantserve
