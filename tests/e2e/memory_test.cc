// What a served model costs in memory, seen from outside.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_process.h"

namespace quantserve {
namespace {

// Memory of process `pid` that belongs to no file; 0 once it is gone.
int64_t PrivateBytes(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/status"));
  long long kib = 0;  // NOLINT(google-runtime-int): what sscanf wants
  for (std::string line; std::getline(file, line);) {
    if (std::sscanf(line.c_str(), "RssAnon: %lld kB", &kib) == 1) break;
  }
  return int64_t{kib} * 1024;
}

// The largest of what is seen every few milliseconds while this lives: the
// kernel keeps a peak of the whole resident memory only.
class PeakOf {
 public:
  explicit PeakOf(pid_t pid)
      : thread_([this, pid] {
          while (!stop_) {
            peak_ = std::max<int64_t>(peak_, PrivateBytes(pid));
            std::this_thread::sleep_for(std::chrono::milliseconds(3));
          }
        }) {}
  ~PeakOf() {
    stop_ = true;
    thread_.join();
  }
  int64_t peak() const { return peak_; }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> peak_{0};
  std::thread thread_;
};

// From the start, kernels chosen by measurement, over a quantization beside the
// served variants.
TEST(MemoryTest, PeakIsWeightsArenasAndTwoHundredMegabytes) {
  const testing::TestModel& model = testing::Resnet18();
  if (model.name.empty()) GTEST_SKIP() << "no shared folder with models";
  testing::ServerProcess server(model, {"--cache_dir=none"});
  const PeakOf peak(server.process().pid());
  server.AwaitReady();
  const auto client = server.NewClient();
  const int64_t at_start = peak.peak();
  ASSERT_TRUE(client->Quantize({}, nullptr).ok());

  const auto status = client->GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  int64_t weights = 0, arenas = 0;
  for (const v1::VariantStatus& variant : status->models(0).variants()) {
    EXPECT_TRUE(variant.ready()) << variant.unavailable_reason();
    weights += variant.size_bytes();
    arenas += variant.engine().context_bytes() * status->server().workers();
  }
  EXPECT_GT(weights, 50e6);
  EXPECT_LE(peak.peak(), weights + arenas + 200'000'000);
  std::printf(
      "weights %.1f MB, arenas %.1f MB; private peak %.1f MB at the start, "
      "%.1f "
      "MB after a quantization; resident peak %.1f MB\n",
      weights / 1e6, arenas / 1e6, at_start / 1e6, peak.peak() / 1e6,
      status->server().memory().peak_resident_bytes() / 1e6);
  // What the server says of itself is what is seen.
  EXPECT_LE(status->server().memory().private_bytes(), peak.peak() * 1.05);
  EXPECT_GT(status->server().memory().private_bytes(), 50e6);
  EXPECT_GT(status->server().memory().peak_resident_bytes(), peak.peak());
}

}  // namespace
}  // namespace quantserve
