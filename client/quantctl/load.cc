#include "client/quantctl/load.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "client/quantctl/command.h"
#include "client/quantctl/table.h"

ABSL_FLAG(int32_t, clients, 1,
          "Connections, each with one call in flight; 1 to 256.");
ABSL_FLAG(int64_t, requests, 1000,
          "Calls in all, for each variant; 1 to 10,000,000.");

namespace quantserve {
namespace {

double Now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Takes calls off the common count until it is used up.
void RunClient(const v1::PredictRequest& request, std::atomic<int64_t>* left,
               Load* load) {
  const auto client = Connect();
  if (!client.ok()) {
    load->first_failure = client.status();
    return;
  }
  // The first call makes the connection; if it fails, the others tell.
  (void)(*client)->Predict(request);
  const double start = Now();
  while (left->fetch_sub(1) > 0) {
    const double sent = Now();
    const auto response = (*client)->Predict(request);
    if (response.ok()) {
      load->latencies.push_back(Now() - sent);
      load->compute.push_back(
          absl::ToDoubleSeconds(FromWire(response->compute_time())));
    } else if (load->failed++ == 0) {
      load->first_failure = response.status();
    }
  }
  load->seconds = Now() - start;
}

}  // namespace

void Load::Add(Load other) {
  latencies.insert(latencies.end(), other.latencies.begin(),
                   other.latencies.end());
  compute.insert(compute.end(), other.compute.begin(), other.compute.end());
  failed += other.failed;
  if (first_failure.ok()) first_failure = std::move(other.first_failure);
  seconds += other.seconds;
}

double Load::Rate() const {
  return seconds > 0 ? static_cast<double>(latencies.size()) / seconds : 0;
}

absl::Duration Percentile(std::vector<double> seconds, double share) {
  if (seconds.empty()) return absl::ZeroDuration();
  const double rank = std::ceil(share * static_cast<double>(seconds.size()));
  const auto index = static_cast<int64_t>(std::max(rank, 1.0)) - 1;
  std::nth_element(seconds.begin(), seconds.begin() + index, seconds.end());
  return absl::Seconds(seconds[index]);
}

FlagGroup LoadFlags() { return {"Load", {"clients", "requests"}}; }

absl::Status CheckLoadFlags() {
  if (ClientsFlag() < 1 || ClientsFlag() > 256) {
    return UsageError(
        absl::StrCat("flag --clients is ", ClientsFlag(), ", want 1 to 256"));
  }
  if (RequestsFlag() < 1 || RequestsFlag() > 10000000) {
    return UsageError(absl::StrCat("flag --requests is ", RequestsFlag(),
                                   ", want 1 to 10000000"));
  }
  return absl::OkStatus();
}

int64_t RequestsFlag() { return absl::GetFlag(FLAGS_requests); }
int ClientsFlag() { return absl::GetFlag(FLAGS_clients); }

Load SendLoad(const v1::PredictRequest& request, int64_t count) {
  std::atomic<int64_t> left{count};
  std::vector<Load> loads(static_cast<size_t>(ClientsFlag()));
  std::vector<std::thread> threads;
  for (Load& load : loads) {
    threads.emplace_back(
        [&request, &left, &load] { RunClient(request, &left, &load); });
  }
  for (std::thread& thread : threads) thread.join();
  Load all;
  double longest = 0;
  for (Load& load : loads) {
    longest = std::max(longest, load.seconds);
    all.Add(std::move(load));
  }
  all.seconds = longest;
  return all;
}

absl::StatusOr<Input> LoadInput(const v1::ModelStatus& model) {
  auto given = ReadInput(model);
  if (!given.ok()) return given.status();
  if (given->has_value()) return **std::move(given);
  return RandomInput(model);
}

}  // namespace quantserve
