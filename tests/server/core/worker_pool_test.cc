#include "server/core/worker_pool.h"

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fake_model.h"

namespace quantserve {
namespace {

using ::testing::ElementsAre;
using testing::FakeControls;
using ::testing::HasSubstr;

// One request and its answer.
class Call {
 public:
  std::vector<float> input = std::vector<float>(12 * 8);
  std::vector<float> output = std::vector<float>(testing::kFakeOutputs * 8);
  InferenceRequest Request(std::shared_ptr<const ServedVariant> variant,
                           int64_t batch = 1) {
    InferenceRequest request;
    request.variant = std::move(variant);
    request.batch = batch;
    request.inputs = {{DType::kF32, input.data()}};
    request.outputs = {output.data()};
    return request;
  }
  WorkerPool::Done Done() {
    return [this](InferenceResult result) {
      MutexLock lock(&mu_);
      ++times_;
      result_ = std::move(result);
      // Under the lock: whoever awaits may destroy the call.
      changed_.NotifyAll();
    };
  }
  InferenceResult Await() {
    MutexLock lock(&mu_);
    while (times_ == 0) changed_.Wait(&mu_);
    EXPECT_EQ(times_, 1);
    return result_;
  }
  int times() {
    MutexLock lock(&mu_);
    return times_;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  int times_ ABSL_GUARDED_BY(mu_) = 0;
  InferenceResult result_ ABSL_GUARDED_BY(mu_);
};

class WorkerPoolTest : public ::testing::Test {
 protected:
  WorkerPoolTest() {
    CompiledVariant compiled;
    compiled.engine = testing::MakeFakeEngine("fp32", controls_);
    variant_ =
        *MakeServedVariant(VariantId::kFp32, 1, std::move(compiled), {}, 4);
  }

  std::shared_ptr<FakeControls> controls_ = std::make_shared<FakeControls>();
  std::shared_ptr<const ServedVariant> variant_;
};

TEST_F(WorkerPoolTest, RunsARequestAndMeasuresIt) {
  WorkerPool pool({/*workers=*/1, /*queue_capacity=*/4, nullptr});
  Call call;
  call.input = {1, 2, 3, 4};
  call.input.resize(12);
  ASSERT_TRUE(pool.Submit(call.Request(variant_), call.Done()).ok());
  const InferenceResult result = call.Await();
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_GE(result.queue, absl::ZeroDuration());
  EXPECT_GE(result.compute, absl::ZeroDuration());
  call.output.resize(4);
  EXPECT_THAT(call.output, ElementsAre(1, 2, 3, 4));
}

TEST_F(WorkerPoolTest, PreprocessesRawPixels) {
  Preprocessing preprocessing;
  preprocessing.scale = 0.5;
  preprocessing.mean = {1};
  preprocessing.std = {2};
  WorkerPool pool({1, 4, nullptr});
  Call call;
  const std::vector<uint8_t> pixels = {0, 10, 20, 255, 0, 0, 0, 0, 0, 0, 0, 0};
  InferenceRequest request = call.Request(variant_);
  request.inputs = {{DType::kU8, pixels.data()}};
  request.preprocessing = &preprocessing;
  ASSERT_TRUE(pool.Submit(std::move(request), call.Done()).ok());
  EXPECT_TRUE(call.Await().status.ok());
  call.output.resize(4);
  EXPECT_THAT(call.output, ElementsAre(-0.5, 2, 4.5, 63.25));
}

TEST_F(WorkerPoolTest, TakesIntegersOfAnyAlignment) {
  Preprocessing preprocessing;
  preprocessing.mean = {1};  // of pixels only
  WorkerPool pool({1, 4, nullptr});
  Call call;
  std::vector<char> bytes(12 * sizeof(int64_t) + 1);
  const int64_t values[4] = {0, -3, 1 << 24, 30521};
  std::memcpy(bytes.data() + 1, values, sizeof(values));
  InferenceRequest request = call.Request(variant_);
  request.inputs = {{DType::kI64, bytes.data() + 1}};
  request.preprocessing = &preprocessing;
  ASSERT_TRUE(pool.Submit(std::move(request), call.Done()).ok());
  EXPECT_TRUE(call.Await().status.ok());
  call.output.resize(4);
  EXPECT_THAT(call.output, ElementsAre(0, -3, 1 << 24, 30521));
}

TEST_F(WorkerPoolTest, TakesFloatsOfAnyAlignment) {
  WorkerPool pool({1, 4, nullptr});
  Call call;
  std::vector<char> bytes(12 * sizeof(float) + 1);
  const float values[4] = {5, 6, 7, 8};
  std::memcpy(bytes.data() + 1, values, sizeof(values));
  InferenceRequest request = call.Request(variant_);
  request.inputs = {{DType::kF32, bytes.data() + 1}};
  ASSERT_TRUE(pool.Submit(std::move(request), call.Done()).ok());
  EXPECT_TRUE(call.Await().status.ok());
  call.output.resize(4);
  EXPECT_THAT(call.output, ElementsAre(5, 6, 7, 8));
}

TEST_F(WorkerPoolTest, RejectsWhenTheQueueIsFullAndTakesAgainAfterwards) {
  controls_->runs.Close();
  WorkerPool pool({/*workers=*/1, /*queue_capacity=*/2, nullptr});
  Call running, first, second, third;
  ASSERT_TRUE(pool.Submit(running.Request(variant_), running.Done()).ok());
  controls_->runs.AwaitWaiting(1);
  ASSERT_TRUE(pool.Submit(first.Request(variant_), first.Done()).ok());
  ASSERT_TRUE(pool.Submit(second.Request(variant_), second.Done()).ok());
  EXPECT_EQ(pool.queue_depth(), 2);
  const absl::Status full = pool.Submit(third.Request(variant_), third.Done());
  EXPECT_EQ(full.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(full.message()), HasSubstr("queue is full: 2"));
  controls_->runs.Open();
  EXPECT_TRUE(second.Await().status.ok());
  EXPECT_EQ(third.times(), 0);
  ASSERT_TRUE(pool.Submit(third.Request(variant_), third.Done()).ok());
  EXPECT_TRUE(third.Await().status.ok());
}

TEST_F(WorkerPoolTest, HandsOnWhatTheEngineSays) {
  controls_->fail_runs = true;
  WorkerPool pool({1, 4, nullptr});
  Call call;
  ASSERT_TRUE(pool.Submit(call.Request(variant_), call.Done()).ok());
  EXPECT_EQ(call.Await().status.code(), absl::StatusCode::kInternal);
}

TEST_F(WorkerPoolTest, WorkersRunAtTheSameTime) {
  controls_->runs.Close();
  WorkerPool pool({/*workers=*/3, 4, nullptr});
  Call calls[3];
  for (Call& call : calls) {
    ASSERT_TRUE(pool.Submit(call.Request(variant_), call.Done()).ok());
  }
  controls_->runs.AwaitWaiting(3);
  controls_->runs.Open();
  for (Call& call : calls) EXPECT_TRUE(call.Await().status.ok());
}

TEST_F(WorkerPoolTest, DrainingFinishesWhatWasTakenAndRefusesTheRest) {
  controls_->runs.Close();
  WorkerPool pool({1, 4, nullptr});
  Call running, waiting, late;
  ASSERT_TRUE(pool.Submit(running.Request(variant_), running.Done()).ok());
  ASSERT_TRUE(pool.Submit(waiting.Request(variant_), waiting.Done()).ok());
  controls_->runs.AwaitWaiting(1);
  std::thread opener([this, &pool, &late] {
    while (pool.Submit(late.Request(variant_), late.Done()).ok()) {
      std::this_thread::yield();
    }
    controls_->runs.Open();
  });
  EXPECT_TRUE(pool.Drain(absl::Minutes(1)));
  opener.join();
  EXPECT_TRUE(running.Await().status.ok());
  EXPECT_TRUE(waiting.Await().status.ok());
}

TEST_F(WorkerPoolTest, ALateDrainFinishesWaitingRequestsWithUnavailable) {
  controls_->runs.Close();
  WorkerPool pool({1, 4, nullptr});
  Call running, waiting;
  ASSERT_TRUE(pool.Submit(running.Request(variant_), running.Done()).ok());
  controls_->runs.AwaitWaiting(1);
  ASSERT_TRUE(pool.Submit(waiting.Request(variant_), waiting.Done()).ok());
  EXPECT_FALSE(pool.Drain(absl::Milliseconds(1)));
  EXPECT_EQ(waiting.Await().status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(running.times(), 0);
  controls_->runs.Open();
  EXPECT_TRUE(running.Await().status.ok());
}

TEST_F(WorkerPoolTest, ConfiguresEachThreadOnce) {
  std::atomic<int> configured{0};
  {
    WorkerPool pool({3, 4, [&configured] { ++configured; }});
  }
  EXPECT_EQ(configured, 3);
}

TEST_F(WorkerPoolTest, AnswersEachOfManyRequestsOnce) {
  WorkerPool pool({/*workers=*/4, /*queue_capacity=*/64, nullptr});
  std::atomic<int> taken{0}, answered{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        auto call = std::make_shared<Call>();
        const absl::Status status = pool.Submit(
            call->Request(variant_),
            [call, &answered](const InferenceResult&) { ++answered; });
        if (status.ok()) ++taken;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(pool.Drain(absl::InfiniteDuration()));
  EXPECT_EQ(answered, taken);
  EXPECT_GT(taken, 0);
}

}  // namespace
}  // namespace quantserve
