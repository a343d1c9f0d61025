// Predict calls from a few clients, each waiting for its answer.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/command_line.h"
#include "client/quantctl/input.h"
#include "quantserve/v1/inference.pb.h"

namespace quantserve {

// What a load did. Mergeable: rounds and clients add up.
struct Load {
  // Seconds, of calls that succeeded: from call to answer, and of those the
  // server's own computing.
  std::vector<double> latencies;
  std::vector<double> compute;
  int64_t failed = 0;
  absl::Status first_failure;
  double seconds = 0;  // wall time

  void Add(Load other);
  double Rate() const;  // answered calls a second
};

// Nearest rank; zero if there is none. 0 <= share <= 1.
absl::Duration Percentile(std::vector<double> seconds, double share);

// --clients and --requests.
FlagGroup LoadFlags();
// A usage error if they are out of range.
absl::Status CheckLoadFlags();
int64_t RequestsFlag();
int ClientsFlag();

// Sends `count` calls from --clients connections, after one for each that is
// not counted, and waits for the answers.
Load SendLoad(const v1::PredictRequest& request, int64_t count);

// What the input flags name, or noise.
absl::StatusOr<Input> LoadInput(const v1::ModelStatus& model);

}  // namespace quantserve
