#include "server/core/job_runner.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/gate_switch.h"

namespace quantserve {
namespace {

using testing::GateSwitch;
using ::testing::HasSubstr;

void AwaitFree(const JobRunner& runner) {
  while (runner.Running().has_value()) std::this_thread::yield();
}

TEST(JobRunnerTest, RunsJobsOneAfterTheOther) {
  JobRunner runner({});
  std::vector<int> order;
  for (int i = 0; i < 3; ++i) {
    GateSwitch done;
    done.Close();
    ASSERT_TRUE(
        runner
            .Start({"job", "",
                    [&order, i](const JobControl&) { order.push_back(i); },
                    nullptr, [&done] { done.Open(); }})
            .ok());
    done.Pass();
  }
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
}

TEST(JobRunnerTest, ASecondJobIsAborted) {
  GateSwitch gate;
  gate.Close();
  JobRunner runner({});
  ASSERT_TRUE(
      runner
          .Start({"quantize", "", [&gate](const JobControl&) { gate.Pass(); },
                  nullptr, nullptr})
          .ok());
  const auto second =
      runner.Start({"evaluate", "", [](const JobControl&) { FAIL(); }, nullptr,
                    [] { FAIL(); }});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("quantize"));
  gate.Open();
  AwaitFree(runner);
}

TEST(JobRunnerTest, TheSlotIsFreeWhenDoneIsCalled) {
  JobRunner runner({});
  GateSwitch done;
  done.Close();
  std::atomic<bool> free{false};
  ASSERT_TRUE(runner
                  .Start({"job", "", [](const JobControl&) {}, nullptr,
                          [&] {
                            free = !runner.Running().has_value();
                            done.Open();
                          }})
                  .ok());
  done.Pass();
  EXPECT_TRUE(free);
}

TEST(JobRunnerTest, TellsProgressToTheObserverToTheCallerAndToStatus) {
  std::vector<std::string> seen;
  GateSwitch gate, done;
  gate.Close();
  done.Close();
  JobRunner::Options options;
  options.observer = [&seen](const std::string& job, const Progress& p) {
    seen.push_back("observer " + job + " " + p.phase);
  };
  JobRunner runner(options);
  ASSERT_TRUE(runner
                  .Start({"quantize", "net",
                          [&gate](const JobControl& control) {
                            EXPECT_TRUE(control.Report("ranges", 1, 2).ok());
                            gate.Pass();
                          },
                          [&seen](const Progress& p) {
                            seen.push_back("caller " + p.phase);
                          },
                          [&done] { done.Open(); }})
                  .ok());
  gate.AwaitWaiting(1);
  const auto running = runner.Running();
  ASSERT_TRUE(running.has_value());
  EXPECT_EQ(running->name, "quantize");
  EXPECT_EQ(running->progress.phase, "ranges");
  EXPECT_EQ(running->progress.done, 1);
  gate.Open();
  done.Pass();
  EXPECT_EQ(seen, (std::vector<std::string>{"observer quantize net ranges",
                                            "caller ranges"}));
}

TEST(JobRunnerTest, AJobLearnsThatItIsCancelled) {
  JobRunner runner({});
  GateSwitch gate, done;
  gate.Close();
  done.Close();
  absl::Status status;
  const auto job = runner.Start({"job", "",
                                 [&](const JobControl& control) {
                                   gate.Pass();
                                   status = control.Report("ranges", 0, 1);
                                 },
                                 nullptr, [&done] { done.Open(); }});
  ASSERT_TRUE(job.ok());
  (*job)->Cancel();
  gate.Open();
  done.Pass();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
}

TEST(JobRunnerTest, StoppingCancelsTheJobAndStillCallsDone) {
  JobRunner runner({});
  GateSwitch started;
  started.Close();
  std::atomic<bool> done{false};
  ASSERT_TRUE(runner
                  .Start({"job", "",
                          [&started](const JobControl& control) {
                            started.Open();
                            while (control.Report("ranges", 0, 1).ok()) {
                              std::this_thread::yield();
                            }
                          },
                          nullptr, [&done] { done = true; }})
                  .ok());
  started.Pass();
  runner.Stop();
  EXPECT_TRUE(done);
  EXPECT_EQ(
      runner.Start({"job", "", [](const JobControl&) {}, nullptr, nullptr})
          .status()
          .code(),
      absl::StatusCode::kUnavailable);
}

TEST(JobRunnerTest, JobsHaveALowerPriority) {
  const int mine = getpriority(PRIO_PROCESS, syscall(SYS_gettid));
  if (mine > 9) GTEST_SKIP() << "this process has the lowest priority already";
  JobRunner runner({});
  std::atomic<int> theirs{0};
  GateSwitch done;
  done.Close();
  ASSERT_TRUE(runner
                  .Start({"job", "",
                          [&theirs](const JobControl&) {
                            theirs =
                                getpriority(PRIO_PROCESS, syscall(SYS_gettid));
                          },
                          nullptr, [&done] { done.Open(); }})
                  .ok());
  done.Pass();
  EXPECT_EQ(theirs, mine + 10);
}

}  // namespace
}  // namespace quantserve
