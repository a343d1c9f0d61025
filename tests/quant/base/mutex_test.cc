#include "quant/base/mutex.h"

#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace quantserve {
namespace {

struct Box {
  Mutex mu;
  CondVar changed;
  int value ABSL_GUARDED_BY(mu) = 0;
};

TEST(MutexTest, ExcludesOtherThreads) {
  Box box;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&box] {
      for (int i = 0; i < 2000; ++i) {
        MutexLock lock(&box.mu);
        ++box.value;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  MutexLock lock(&box.mu);
  EXPECT_EQ(box.value, 8000);
}

TEST(CondVarTest, WakesAWaiter) {
  Box box;
  std::thread waiter([&box] {
    MutexLock lock(&box.mu);
    while (box.value == 0) box.changed.Wait(&box.mu);
    box.value = 2;
    box.changed.NotifyAll();
  });
  {
    MutexLock lock(&box.mu);
    box.value = 1;
    box.changed.NotifyOne();
    while (box.value != 2) box.changed.Wait(&box.mu);
  }
  waiter.join();
}

TEST(CondVarTest, GivesUpAfterTheTimeout) {
  Box box;
  MutexLock lock(&box.mu);
  EXPECT_FALSE(box.changed.WaitFor(&box.mu, absl::Milliseconds(1)));
}

}  // namespace
}  // namespace quantserve
