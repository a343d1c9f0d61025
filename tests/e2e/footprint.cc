#include "tests/e2e/footprint.h"

#include <cstdio>
#include <filesystem>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/testing/http_get.h"

namespace quantserve::testing {
namespace {

// A leak adds to every one of them, a cache is full at some time.
constexpr int kRounds = 6;

// As before in calls and files, or what it is when the patience is over.
Footprint Settle(ServerProcess* server, const Footprint& before) {
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (true) {
    const Footprint now = FootprintOf(server);
    const bool settled = now.calls == before.calls && now.files <= before.files;
    if (settled || absl::Now() > deadline) return now;
    absl::SleepFor(absl::Milliseconds(20));
  }
}

std::string Text(const Footprint& f) {
  return absl::StrFormat("%.0f calls, %.0f files, %.0f threads, %.1f MB",
                         f.calls, f.files, f.threads, f.bytes / 1e6);
}

}  // namespace

Footprint FootprintOf(ServerProcess* server) {
  const std::string scrape = HttpGet(server->metrics_port());
  Footprint footprint;
  footprint.calls = SumOfMetric(scrape, "quantserve_calls_in_flight");
  footprint.files = SumOfMetric(scrape, "process_open_fds");
  footprint.bytes = SumOfMetric(scrape, "quantserve_private_memory_bytes");
  const std::filesystem::directory_iterator tasks(
      absl::StrCat("/proc/", server->process().pid(), "/task"));
  footprint.threads =
      static_cast<double>(std::distance(begin(tasks), end(tasks)));
  return footprint;
}

void ExpectNothingLeft(ServerProcess* server, const TestModel& model,
                       const std::function<void()>& attack,
                       double slack_bytes) {
  const Footprint before = FootprintOf(server);
  EXPECT_EQ(before.calls, 0);
  EXPECT_GT(before.files, 0);
  std::printf("%s\n", Text(before).c_str());
  attack();
  Footprint last = Settle(server, before);
  std::printf("%s\n", Text(last).c_str());
  bool more = true;
  for (int round = 1; round < kRounds && more; ++round) {
    attack();
    const Footprint now = Settle(server, before);
    std::printf("%s\n", Text(now).c_str());
    EXPECT_EQ(now.calls, 0);
    EXPECT_LE(now.files, before.files);
    more = now.threads > last.threads || now.bytes > last.bytes + slack_bytes;
    last = now;
  }
  EXPECT_FALSE(more) << "still more with each attack: " << Text(last);
  v1::PredictRequest request;
  *request.add_inputs() = ReadSamples(model.test, 0, 1);
  const auto answer = server->NewClient()->Predict(request);
  EXPECT_TRUE(answer.ok()) << answer.status() << "\n"
                           << server->process().err();
}

}  // namespace quantserve::testing
