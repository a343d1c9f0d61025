// What bench and compare send, and how, from the command line.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/command_line.h"
#include "client/load/measure.h"
#include "client/load/transport.h"
#include "quantserve/v1/inference.pb.h"

namespace quantserve {

// --clients, --connections and --requests, which compare takes as well.
FlagGroup ClosedLoopFlags();
// --rate and what belongs to it; windows; deadlines; streams.
FlagGroup OpenLoopFlags();
FlagGroup WindowFlags();

// What the flags say, for each point of a sweep: one if there is none. Usage
// errors, naming the flag, its value and what it wants. `default_requests`:
// unless --requests is given; 0: until the figures are stable.
absl::StatusOr<std::vector<MeasureOptions>> MeasureFlags(
    int64_t default_requests);

// "500", "500,1000" or "500:2000:500", the last point included: numbers above 0
// and at most 10,000,000, at most 100 of them. Empty for an empty text. A usage
// error else.
absl::StatusOr<std::vector<double>> ParseRates(const std::string& text);

// Connections to the server, for one variant's requests.
absl::StatusOr<std::unique_ptr<Transport>> Dial(
    const v1::PredictRequest& request);

int ConnectionsFlag();  // as they are, 0 resolved
bool StreamFlag();

}  // namespace quantserve
