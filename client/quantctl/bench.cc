// bench: many Predict calls from a few clients, each waiting for its answer.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/quantctl/command.h"
#include "client/quantctl/input.h"
#include "client/quantctl/table.h"
#include "nlohmann/json.hpp"

ABSL_FLAG(int32_t, clients, 1,
          "Connections, each with one call in flight; 1 to 256.");
ABSL_FLAG(int64_t, requests, 1000, "Calls in all; 1 to 10,000,000.");

namespace quantserve {
namespace {

struct Load {
  std::vector<double> latencies;  // seconds, of calls that succeeded
  int64_t failed = 0;
  absl::Status first_failure;
  double seconds = 0;
};

double Now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Takes calls off the common count until it is used up.
void RunClient(const v1::PredictRequest& request, std::atomic<int64_t>* left,
               Load* load) {
  const auto client = Connect();
  // The first call makes the connection and is not counted.
  if (const auto warm = (*client)->Predict(request); !warm.ok()) {
    load->first_failure = warm.status();
  }
  const double start = Now();
  while (left->fetch_sub(1) > 0) {
    const double sent = Now();
    const auto response = (*client)->Predict(request);
    if (response.ok()) {
      load->latencies.push_back(Now() - sent);
    } else {
      if (load->failed++ == 0) load->first_failure = response.status();
    }
  }
  load->seconds = Now() - start;
}

Load Merge(std::vector<Load> loads) {
  Load all;
  for (Load& load : loads) {
    all.latencies.insert(all.latencies.end(), load.latencies.begin(),
                         load.latencies.end());
    all.failed += load.failed;
    if (all.first_failure.ok()) all.first_failure = load.first_failure;
    all.seconds = std::max(all.seconds, load.seconds);
  }
  std::sort(all.latencies.begin(), all.latencies.end());
  return all;
}

absl::Duration Percentile(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return absl::ZeroDuration();
  const auto rank = static_cast<size_t>(share * (sorted.size() - 1) + 0.5);
  return absl::Seconds(sorted[rank]);
}

absl::Status CheckFlags() {
  const int32_t clients = absl::GetFlag(FLAGS_clients);
  if (clients < 1 || clients > 256) {
    return UsageError(
        absl::StrCat("flag --clients is ", clients, ", want 1 to 256"));
  }
  const int64_t requests = absl::GetFlag(FLAGS_requests);
  if (requests < 1 || requests > 10000000) {
    return UsageError(
        absl::StrCat("flag --requests is ", requests, ", want 1 to 10000000"));
  }
  return absl::OkStatus();
}

void Print(const Load& load, const std::string& variant, int clients,
           bool as_json) {
  const auto done = static_cast<double>(load.latencies.size());
  const double rate = load.seconds > 0 ? done / load.seconds : 0;
  const absl::Duration p50 = Percentile(load.latencies, 0.5);
  const absl::Duration p90 = Percentile(load.latencies, 0.9);
  const absl::Duration p99 = Percentile(load.latencies, 0.99);
  if (as_json) {
    const nlohmann::json json = {{"variant", variant},
                                 {"clients", clients},
                                 {"requests", load.latencies.size()},
                                 {"failed", load.failed},
                                 {"rate_per_second", rate},
                                 {"p50_ms", absl::ToDoubleMilliseconds(p50)},
                                 {"p90_ms", absl::ToDoubleMilliseconds(p90)},
                                 {"p99_ms", absl::ToDoubleMilliseconds(p99)}};
    std::printf("%s\n", json.dump(2).c_str());
    return;
  }
  Table table({"variant", "clients", "answered", "failed", "calls/s", "p50",
               "p90", "p99"});
  table.Add({variant, absl::StrCat(clients),
             absl::StrCat(load.latencies.size()), absl::StrCat(load.failed),
             absl::StrFormat("%.0f", rate), Milliseconds(p50),
             Milliseconds(p90), Milliseconds(p99)});
  std::fputs(table.Render().c_str(), stdout);
}

absl::Status Run(const Arguments&) {
  const auto json = JsonRequested();
  if (!json.ok()) return json.status();
  if (absl::Status flags = CheckFlags(); !flags.ok()) return flags;
  const auto client = Connect();
  if (!client.ok()) return client.status();
  const auto status = (*client)->GetStatus();
  if (!status.ok()) return status.status();
  const auto model = OnlyModel(*status);
  if (!model.ok()) return model.status();
  auto given = ReadInput(*model);
  if (!given.ok()) return given.status();
  const auto input = given->has_value()
                         ? absl::StatusOr<Input>(**std::move(given))
                         : RandomInput(*model);
  if (!input.ok()) return input.status();
  v1::PredictRequest request;
  request.set_variant(VariantFlag());
  *request.add_inputs() = input->tensor;

  const int clients = absl::GetFlag(FLAGS_clients);
  std::atomic<int64_t> left{absl::GetFlag(FLAGS_requests)};
  std::vector<Load> loads(static_cast<size_t>(clients));
  std::vector<std::thread> threads;
  for (Load& load : loads) {
    threads.emplace_back(
        [&request, &left, &load] { RunClient(request, &left, &load); });
  }
  for (std::thread& thread : threads) thread.join();
  const Load all = Merge(std::move(loads));
  Print(all, request.variant().empty() ? "default" : request.variant(), clients,
        *json);
  if (all.failed > 0) {
    return absl::Status(all.first_failure.code(),
                        absl::StrCat(all.failed, " calls failed, the first: ",
                                     all.first_failure.message()));
  }
  return absl::OkStatus();
}

}  // namespace

Command BenchCommand() {
  return {"bench",
          {"Sends many Predict calls and prints their rate and latency. "
           "Without an input it sends noise.",
           "quantctl bench [flags]",
           {{"Load", {"clients", "requests", "variant"}},
            InputFlags(),
            CommonFlags()},
           "Example:\n  quantctl bench --variant=int8 --clients=4 "
           "--requests=5000\n",
           0},
          Run};
}

}  // namespace quantserve
