// The parts of a load that need neither time nor a server.
#include "client/load/load.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "client/load/arrivals.h"
#include "client/load/latency_histogram.h"
#include "client/load/stable_windows.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantserve {
namespace {

TEST(ArrivalsTest, ConstantOnesNeverDrift) {
  Arrivals arrivals(ArrivalProcess::kConstant, 3, 1);
  absl::Duration last;
  for (int i = 0; i <= 3000000; ++i) last = arrivals.Next();
  EXPECT_NEAR(absl::ToDoubleSeconds(last), 1e6, 1e-6);
}

TEST(ArrivalsTest, PoissonsGapsAreExponentialAndTheSeeds) {
  constexpr int kCount = 200000;
  Arrivals arrivals(ArrivalProcess::kPoisson, 1000, 7);
  Arrivals same(ArrivalProcess::kPoisson, 1000, 7);
  Arrivals other(ArrivalProcess::kPoisson, 1000, 8);
  double sum = 0, squares = 0;
  int longer = 0;  // than twice the mean: e^-2 of all
  absl::Duration last;
  bool differs = false;
  for (int i = 0; i < kCount; ++i) {
    const absl::Duration next = arrivals.Next();
    ASSERT_EQ(next, same.Next());
    differs |= next != other.Next();
    const double gap = absl::ToDoubleMilliseconds(next - last);
    ASSERT_GE(gap, 0);
    sum += gap;
    squares += gap * gap;
    longer += gap > 2;
    last = next;
  }
  EXPECT_TRUE(differs);
  EXPECT_NEAR(sum / kCount, 1, 0.02);
  EXPECT_NEAR(squares / kCount, 2, 0.06);
  EXPECT_NEAR(static_cast<double>(longer) / kCount, std::exp(-2), 0.005);
}

TEST(LatencyHistogramTest, PercentilesAreAtMostAHairTooHigh) {
  std::mt19937_64 random(3);
  std::lognormal_distribution<double> microseconds(6, 2);
  LatencyHistogram histogram, halves[2];
  std::vector<absl::Duration> all;
  for (int i = 0; i < 20001; ++i) {
    all.push_back(absl::Microseconds(microseconds(random)));
    histogram.Record(all.back());
    halves[i % 2].Record(all.back());
  }
  halves[0].Merge(halves[1]);
  std::sort(all.begin(), all.end());
  for (const double share : {0.0, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const double rank = std::ceil(share * static_cast<double>(all.size()));
    const auto index = static_cast<size_t>(std::max(rank, 1.0)) - 1;
    const double exact = absl::ToDoubleNanoseconds(all[index]);
    const double told = absl::ToDoubleNanoseconds(histogram.Percentile(share));
    EXPECT_GE(told, std::floor(exact)) << share;
    EXPECT_LE(told, exact * (1 + 1.0 / 128)) << share;
    EXPECT_EQ(halves[0].Percentile(share), histogram.Percentile(share));
  }
  EXPECT_EQ(halves[0].count(), 20001);
}

TEST(LatencyHistogramTest, TakesWhatIsOutOfRange) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.Percentile(0.5), absl::ZeroDuration());
  histogram.Record(-absl::Seconds(1));
  EXPECT_EQ(histogram.Percentile(1), absl::ZeroDuration());
  histogram.Record(absl::InfiniteDuration());
  EXPECT_GT(histogram.Percentile(1), absl::Hours(1));
  EXPECT_EQ(histogram.count(), 2);
}

TEST(StableWindowsTest, TheLastThreeMustAgreeInBothFigures) {
  const auto window = [](double rate, int latency_us) {
    return WindowFigures{rate, absl::Microseconds(latency_us)};
  };
  StableWindows windows(0.1, 10);
  windows.Add(window(100, 500));
  windows.Add(window(1000, 500));
  windows.Add(window(1050, 900));
  EXPECT_FALSE(windows.stable());
  windows.Add(window(1000, 500));
  windows.Add(window(1000, 510));
  EXPECT_FALSE(windows.stable()) << "900 us is among the last three";
  windows.Add(window(990, 520));
  EXPECT_TRUE(windows.stable());
  EXPECT_TRUE(windows.over());
  windows.Add(window(1400, 520));
  EXPECT_FALSE(windows.stable()) << "so is a rate of 1400";
}

TEST(StableWindowsTest, GivesUp) {
  StableWindows windows(0.1, 4);
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(windows.over());
    windows.Add({0, absl::ZeroDuration()});
  }
  EXPECT_TRUE(windows.over());
  EXPECT_FALSE(windows.stable()) << "no answers are no agreement";
}

v1::PredictResponse Reply(int64_t batch, int compute_us) {
  v1::PredictResponse reply;
  reply.set_batch_size(batch);
  reply.mutable_compute_time()->set_nanos(compute_us * 1000);
  return reply;
}

TEST(LoadTest, AddsUpWindowsAndCountsErrorsByCode) {
  Load load;
  EXPECT_TRUE(load.Failure().ok());
  const absl::Duration ms = absl::Milliseconds(1);
  load.Record(absl::ZeroDuration(), ms, absl::OkStatus(), Reply(1, 100));
  load.Record(2 * ms, ms, absl::UnavailableError("the queue is full"), {});
  load.time = absl::Seconds(1);
  Load more;
  for (int i = 0; i < 4; ++i) {
    more.Record(absl::ZeroDuration(), 3 * ms, absl::OkStatus(), Reply(4, 200));
  }
  more.Record(5 * ms, ms, absl::UnavailableError("again"), {});
  more.Record(absl::ZeroDuration(), ms, absl::CancelledError("gone"), {});
  more.not_sent = 2;
  more.time = absl::Seconds(1);
  load.Merge(more);
  EXPECT_EQ(load.succeeded(), 5);
  EXPECT_EQ(load.failed(), 3);
  EXPECT_EQ(load.Goodput(), 2.5);
  EXPECT_EQ(load.Throughput(), 4);
  EXPECT_EQ(load.Offered(), 5);
  EXPECT_EQ(load.sent_late, 2);
  EXPECT_EQ(load.worst_lag, 5 * ms);
  // One batch of one, one of four.
  EXPECT_EQ(load.MeanBatch(), 2.5);
  EXPECT_EQ(load.Failure().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(load.Failure().message(),
            "3 calls failed, 2 of them so: the queue is full");
}

}  // namespace
}  // namespace quantserve
