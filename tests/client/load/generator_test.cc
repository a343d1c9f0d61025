// The generator against a server that is made up, in time that is made up: what
// it finds is known to the nanosecond.
#include "client/load/generator.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "client/load/measure.h"
#include "gtest/gtest.h"

namespace quantserve {
namespace {

constexpr absl::Duration kMs = absl::Milliseconds(1);

// Answers come when time passes, and time passes when somebody waits.
class MadeUpTime final : public LoadClock {
 public:
  absl::Time Now() override { return now_; }
  void SleepUntil(absl::Time time) override {
    while (Step(time)) {
    }
    now_ = std::max(now_, time);
  }
  bool Await(std::unique_lock<std::mutex>* lock, std::condition_variable*,
             absl::Time time, const std::function<bool()>& ready) override {
    while (!ready()) {
      lock->unlock();
      const bool more = Step(time);
      lock->lock();
      if (more) continue;
      now_ = time;
      return ready();
    }
    return true;
  }
  void At(absl::Time time, std::function<void()> event) {
    events_.emplace(time, std::move(event));
  }

 private:
  bool Step(absl::Time until) {
    if (events_.empty() || events_.begin()->first > until) return false;
    auto event = events_.extract(events_.begin());
    now_ = std::max(now_, event.key());
    event.mapped()();
    return true;
  }

  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  std::multimap<absl::Time, std::function<void()>> events_;
};

// Runs one request after the other, each for `service`; stands still once.
class OneWorker final : public Transport {
 public:
  OneWorker(MadeUpTime* time, absl::Duration service)
      : time_(time), service_(service), free_(time->Now()) {}

  void StallFor(absl::Duration duration, absl::Duration after) {
    stall_begin_ = time_->Now() + after;
    stall_end_ = stall_begin_ + duration;
  }
  void Send(absl::Duration, Done done) override {
    sent.push_back(time_->Now());
    absl::Time start = std::max(free_, time_->Now());
    if (start >= stall_begin_ && start < stall_end_) start = stall_end_;
    free_ = start + service_;
    const absl::Status status = fail;
    time_->At(free_, [done = std::move(done), status] { done(status, {}); });
  }

  std::vector<absl::Time> sent;
  absl::Status fail;

 private:
  MadeUpTime* const time_;
  const absl::Duration service_;
  absl::Time free_;
  absl::Time stall_begin_ = absl::InfiniteFuture();
  absl::Time stall_end_ = absl::InfiniteFuture();
};

LoadOptions Open(double rate) {
  LoadOptions options;
  options.rate = rate;
  options.arrivals = ArrivalProcess::kConstant;
  return options;
}

TEST(GeneratorTest, OpenLoopSendsOnTimeWhateverTheAnswers) {
  MadeUpTime time;
  OneWorker server(&time, 3 * kMs);  // a third of what comes
  const absl::Time start = time.Now();
  const Load load =
      Generator(&server, Open(1000), &time).Run({absl::Seconds(1)});
  ASSERT_EQ(server.sent.size(), 1000);
  for (int i = 0; i < 1000; ++i) {
    // To what a double of seconds can tell.
    EXPECT_LT(absl::AbsDuration(server.sent[i] - start - i * kMs),
              absl::Nanoseconds(1));
  }
  EXPECT_EQ(load.succeeded(), 1000);
  EXPECT_EQ(load.Offered(), 1000);
  EXPECT_EQ(load.sent_late, 0);
  // The last was sent after 999 ms and answered after 3 s.
  EXPECT_NEAR(absl::ToDoubleMilliseconds(load.latency.max()), 2001, 0.01);
}

// Guards against coordinated omission: where a stalled server keeps requests
// from being sent, those would be few and look fast if they were timed from
// their sending.
TEST(GeneratorTest, AStallShowsInThePercentilesOfWhatItKeptFromBeingSent) {
  MadeUpTime time;
  OneWorker server(&time, kMs / 10);
  server.StallFor(absl::Milliseconds(300), absl::Milliseconds(100));
  LoadOptions options = Open(1000);
  options.max_outstanding = 1;
  const Load load = Generator(&server, options, &time).Run({absl::Seconds(1)});
  // 300 of 1000 were meant to be sent while it stood still and waited for
  // 300, 299 … 1 ms, and some more until it had caught up.
  EXPECT_EQ(load.succeeded(), 1000);
  EXPECT_EQ(load.not_sent, 0);
  EXPECT_GT(load.sent_late, 290);
  EXPECT_LT(load.latency.Percentile(0.5), kMs);
  EXPECT_GT(load.latency.Percentile(0.8), absl::Milliseconds(100));
  EXPECT_GT(load.latency.Percentile(0.99), absl::Milliseconds(280));
  EXPECT_GT(load.worst_lag, absl::Milliseconds(290));
}

TEST(GeneratorTest, WhatIsNeverSentIsCounted) {
  MadeUpTime time;
  OneWorker server(&time, kMs);
  server.StallFor(absl::Seconds(10), absl::ZeroDuration());
  LoadOptions options = Open(100);
  options.max_outstanding = 7;
  const Load load = Generator(&server, options, &time).Run({absl::Seconds(1)});
  EXPECT_EQ(server.sent.size(), 7);
  EXPECT_EQ(load.succeeded(), 7);
  EXPECT_EQ(load.not_sent, 93);
  EXPECT_EQ(load.Offered(), 100);
}

TEST(GeneratorTest, EachWindowOfChanceIsAnotherButTheSeedsOwn) {
  const auto times = [](uint64_t seed) {
    MadeUpTime time;
    OneWorker server(&time, kMs / 10);
    LoadOptions options = Open(1000);
    options.arrivals = ArrivalProcess::kPoisson;
    options.seed = seed;
    Generator generator(&server, options, &time);
    std::vector<absl::Duration> first, second;
    for (std::vector<absl::Duration>* gaps : {&first, &second}) {
      const absl::Time start = time.Now();
      server.sent.clear();
      generator.Run({absl::Milliseconds(50)});
      for (absl::Time at : server.sent) gaps->push_back(at - start);
    }
    return std::pair(first, second);
  };
  const auto one = times(1);
  EXPECT_NE(one.first, one.second);
  EXPECT_EQ(one, times(1));
  EXPECT_NE(one.first, times(100).first);
}

TEST(GeneratorTest, ClosedLoopKeepsEachClientAtOneCall) {
  MadeUpTime time;
  OneWorker server(&time, kMs);
  LoadOptions options;
  options.clients = 4;
  LoadWindow window;
  window.length = absl::Seconds(1);
  window.lead_in = absl::Milliseconds(100);
  const Load load = Generator(&server, options, &time).Run(window);
  EXPECT_EQ(load.Goodput(), 1000);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(load.latency.Percentile(0.99)), 4,
              0.04);
  server.sent.clear();
  LoadWindow count;
  count.requests = 10;
  EXPECT_EQ(Generator(&server, options, &time).Run(count).succeeded(), 10);
  EXPECT_EQ(server.sent.size(), 10);
}

TEST(MeasureTest, ContendersTakeTurnsUntilBothAreStable) {
  MadeUpTime time;
  OneWorker good(&time, kMs), bad(&time, kMs);
  bad.fail = absl::UnavailableError("full");
  MeasureOptions options;
  options.warmup = absl::Milliseconds(100);
  options.window = absl::Milliseconds(100);
  options.max_windows = 5;
  std::vector<std::string> heard;
  const auto results = Measure(
      {{"good", &good}, {"bad", &bad}}, options,
      [&heard](const std::string& name, int window, const Load&) {
        heard.push_back(name + std::to_string(window));
      },
      &time);
  EXPECT_EQ(heard, (std::vector<std::string>{"good1", "bad1", "good2", "bad2",
                                             "good3", "bad3", "good4", "bad4",
                                             "good5", "bad5"}));
  ASSERT_EQ(results.size(), 2);
  EXPECT_TRUE(results[0].stable);
  EXPECT_EQ(results[0].load.time, absl::Milliseconds(300)) << "the last three";
  EXPECT_EQ(results[0].load.Goodput(), 1000);
  EXPECT_FALSE(results[1].stable);
  EXPECT_EQ(results[1].load.succeeded(), 0);
  EXPECT_EQ(results[1]
                .load.failures.at(absl::StatusCode::kUnavailable)
                .latency.count(),
            300);
}

TEST(MeasureTest, SendsSoManyRequestsIfItIsTold) {
  MadeUpTime time;
  OneWorker server(&time, kMs);
  MeasureOptions options;
  options.requests = 12;
  options.load.clients = 2;
  const auto results = Measure({{"only", &server}}, options, nullptr, &time);
  EXPECT_EQ(results[0].load.succeeded(), 12);
  EXPECT_TRUE(results[0].stable);
  EXPECT_EQ(server.sent.size(), 12 + 2) << "and one of each client before";
}

}  // namespace
}  // namespace quantserve
