// What a load did: latencies, rates, errors, and what the server said of
// itself.
#pragma once

#include <cstdint>
#include <map>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/load/latency_histogram.h"
#include "client/load/stable_windows.h"
#include "quantserve/v1/inference.pb.h"

namespace quantserve {

// Mergeable: windows and rounds add up. Thread-compatible.
struct Load {
  struct Failures {
    LatencyHistogram latency;
    absl::Status first;
  };
  struct BatchSize {
    LatencyHistogram compute;  // of each answer
  };

  // From the intended sending to the answer, of calls that succeeded.
  LatencyHistogram latency;
  // Of those, from the replies: before and in a worker.
  LatencyHistogram queue, compute;
  // By the samples that were run together.
  std::map<int64_t, BatchSize> batches;
  std::map<absl::StatusCode, Failures> failures;
  // Sent more than kLate after they were meant to be; the worst of all.
  int64_t sent_late = 0;
  absl::Duration worst_lag;
  // Never sent: as many calls as may be were outstanding until the end.
  int64_t not_sent = 0;
  absl::Duration time;  // during which requests were meant to be sent

  static constexpr absl::Duration kLate = absl::Milliseconds(1);

  // One call's end.
  void Record(absl::Duration lag, absl::Duration took,
              const absl::Status& status, const v1::PredictResponse& response);
  void Merge(const Load& other);

  int64_t succeeded() const { return latency.count(); }
  int64_t failed() const;
  // Calls a second: that were meant to be sent, answered in whatever way,
  // answered well.
  double Offered() const { return Rate(succeeded() + failed() + not_sent); }
  double Throughput() const { return Rate(succeeded() + failed()); }
  double Goodput() const { return Rate(succeeded()); }
  WindowFigures Figures() const;
  // Samples in a batch, averaged over the batches; 0 if there is none.
  double MeanBatch() const;
  // OK, or the first failure of the code that most calls had, with their
  // number.
  absl::Status Failure() const;

 private:
  double Rate(int64_t calls) const;
};

}  // namespace quantserve
