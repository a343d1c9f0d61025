// Quantize beside traffic: requests are answered, and the work is that of one
// thread that stands back for those that serve.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_process.h"

namespace quantserve {
namespace {

struct ThreadFacts {
  std::string name;
  int nice = 0;
  int64_t ticks = 0;  // of the processor, since it began
};

// See proc(5).
std::vector<ThreadFacts> ThreadsOf(pid_t pid) {
  std::vector<ThreadFacts> threads;
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator(
           absl::StrCat("/proc/", pid, "/task"), error)) {
    const std::string stat = testing::ReadBytes(task.path() / "stat");
    const size_t open = stat.find('('), close = stat.rfind(')');
    if (close == std::string::npos) continue;  // it ended
    std::istringstream fields(stat.substr(close + 1));
    std::vector<std::string> words;  // words[0] is proc(5)'s field 3
    for (std::string word; fields >> word;) words.push_back(word);
    threads.push_back({stat.substr(open + 1, close - open - 1),
                       std::stoi(words.at(16)),
                       std::stoll(words.at(11)) + std::stoll(words.at(12))});
  }
  return threads;
}

TEST(BesideTest, PredictIsAnsweredWhileOnePatientThreadQuantizes) {
  const testing::TestModel& model = testing::SmallModel();
  testing::ServerProcess server(model);
  server.AwaitReady();
  const pid_t pid = server.process().pid();

  std::atomic<bool> quantizing{true};
  int answers = 0, looks = 0;
  size_t most_jobs = 0;
  int64_t first_ticks = -1, last_ticks = 0;
  std::thread client([&] {
    const auto client = server.NewClient();
    v1::PredictRequest request;
    *request.add_inputs() = testing::ReadSamples(model.test, 0, 1);
    while (quantizing) {
      const auto answer = client->Predict(request);
      ASSERT_TRUE(answer.ok()) << answer.status();
      if (quantizing) ++answers;
    }
  });
  std::thread observer([&] {
    while (quantizing) {
      size_t jobs = 0;
      const std::vector<ThreadFacts> threads = ThreadsOf(pid);
      for (const ThreadFacts& thread : threads) {
        // A thread's children have its name until they get another.
        if (thread.name != "job") continue;
        ++jobs;
        EXPECT_EQ(thread.nice, threads[0].nice + 10);
        if (first_ticks < 0) first_ticks = thread.ticks;
        last_ticks = std::max(last_ticks, thread.ticks);
      }
      most_jobs = std::max(most_jobs, jobs);
      ++looks;
      absl::SleepFor(absl::Milliseconds(5));
    }
  });
  const auto result = server.NewClient()->Quantize({}, nullptr);
  quantizing = false;
  client.join();
  observer.join();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->published());
  EXPECT_GT(answers, 10);
  EXPECT_GT(looks, 2);
  EXPECT_EQ(most_jobs, 1);
  EXPECT_GT(last_ticks, first_ticks);
}

}  // namespace
}  // namespace quantserve
