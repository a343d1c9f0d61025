#include "client/load/load.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/wire_time.h"

namespace quantserve {

void Load::Record(absl::Duration lag, absl::Duration took,
                  const absl::Status& status,
                  const v1::PredictResponse& response) {
  if (lag > kLate) ++sent_late;
  worst_lag = std::max(worst_lag, lag);
  if (!status.ok()) {
    Failures& same = failures[status.code()];
    if (same.first.ok()) same.first = status;
    same.latency.Record(took);
    return;
  }
  const absl::Duration computed = FromWire(response.compute_time());
  latency.Record(took);
  queue.Record(FromWire(response.queue_time()));
  compute.Record(computed);
  batches[response.batch_size()].compute.Record(computed);
}

void Load::Merge(const Load& other) {
  latency.Merge(other.latency);
  queue.Merge(other.queue);
  compute.Merge(other.compute);
  for (const auto& [size, batch] : other.batches) {
    batches[size].compute.Merge(batch.compute);
  }
  for (const auto& [code, failure] : other.failures) {
    Failures& same = failures[code];
    if (same.first.ok()) same.first = failure.first;
    same.latency.Merge(failure.latency);
  }
  sent_late += other.sent_late;
  worst_lag = std::max(worst_lag, other.worst_lag);
  not_sent += other.not_sent;
  time += other.time;
}

int64_t Load::failed() const {
  int64_t all = 0;
  for (const auto& [code, failure] : failures) all += failure.latency.count();
  return all;
}

double Load::Rate(int64_t calls) const {
  const double seconds = absl::ToDoubleSeconds(time);
  return seconds > 0 ? static_cast<double>(calls) / seconds : 0;
}

WindowFigures Load::Figures() const {
  return {Goodput(), latency.Percentile(0.5)};
}

double Load::MeanBatch() const {
  double batches_run = 0;
  double samples = 0;
  for (const auto& [size, batch] : batches) {
    if (size < 1) continue;  // of servers that don't tell
    // Each of a batch's calls tells of it.
    const auto calls = static_cast<double>(batch.compute.count());
    batches_run += calls / static_cast<double>(size);
    samples += calls;
  }
  return batches_run > 0 ? samples / batches_run : 0;
}

absl::Status Load::Failure() const {
  const auto most = std::max_element(
      failures.begin(), failures.end(), [](const auto& a, const auto& b) {
        return a.second.latency.count() < b.second.latency.count();
      });
  if (most == failures.end()) return absl::OkStatus();
  return absl::Status(
      most->first,
      absl::StrCat(failed(), " calls failed, ", most->second.latency.count(),
                   " of them so: ", most->second.first.message()));
}

}  // namespace quantserve
