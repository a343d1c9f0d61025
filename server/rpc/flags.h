// The server's flags.
#pragma once

#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "client/cli/command_line.h"
#include "quantserve/v1/config.pb.h"

namespace quantserve {

// What `quantserve_server` takes, and its usage page.
const CommandLine& ServerCommandLine();

// The configuration file that --config names, if one is given, overlaid with
// the flags that are `given`.
absl::StatusOr<v1::ServerConfig> ConfigFromFlags(
    const std::set<std::string>& given);

bool VersionRequested();

}  // namespace quantserve
