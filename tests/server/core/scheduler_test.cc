#include "server/core/scheduler.h"

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/core/steady_clock.h"
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
  Scheduler::Done Done() {
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

class SchedulerTest : public ::testing::Test {
 protected:
  SchedulerTest() {
    CompiledVariant compiled;
    compiled.engine = testing::MakeFakeEngine("fp32", controls_);
    variant_ =
        *MakeServedVariant(VariantId::kFp32, 1, std::move(compiled), {}, 4);
    CompiledVariant int8;
    int8.engine = testing::MakeFakeEngine("int8", controls_);
    other_ = *MakeServedVariant(VariantId::kInt8, 1, std::move(int8), {}, 4);
  }

  std::shared_ptr<FakeControls> controls_ = std::make_shared<FakeControls>();
  std::shared_ptr<const ServedVariant> variant_, other_;
};

TEST_F(SchedulerTest, RunsARequestAndMeasuresIt) {
  Scheduler pool({/*workers=*/1, /*queue_capacity=*/4});
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

TEST_F(SchedulerTest, PreprocessesRawPixels) {
  Preprocessing preprocessing;
  preprocessing.scale = 0.5;
  preprocessing.mean = {1};
  preprocessing.std = {2};
  Scheduler pool({1, 4});
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

TEST_F(SchedulerTest, TakesIntegersOfAnyAlignment) {
  Preprocessing preprocessing;
  preprocessing.mean = {1};  // of pixels only
  Scheduler pool({1, 4});
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

TEST_F(SchedulerTest, TakesFloatsOfAnyAlignment) {
  Scheduler pool({1, 4});
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

TEST_F(SchedulerTest, RejectsWhenTheQueueIsFullAndTakesAgainAfterwards) {
  controls_->runs.Close();
  Scheduler pool({/*workers=*/1, /*queue_capacity=*/2});
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

TEST_F(SchedulerTest, HandsOnWhatTheEngineSays) {
  controls_->fail_runs = true;
  Scheduler pool({1, 4});
  Call call;
  ASSERT_TRUE(pool.Submit(call.Request(variant_), call.Done()).ok());
  EXPECT_EQ(call.Await().status.code(), absl::StatusCode::kInternal);
}

TEST_F(SchedulerTest, WorkersRunAtTheSameTime) {
  controls_->runs.Close();
  Scheduler pool({/*workers=*/3, 4});
  Call calls[3];
  for (Call& call : calls) {
    ASSERT_TRUE(pool.Submit(call.Request(variant_), call.Done()).ok());
  }
  controls_->runs.AwaitWaiting(3);
  controls_->runs.Open();
  for (Call& call : calls) EXPECT_TRUE(call.Await().status.ok());
}

TEST_F(SchedulerTest, DrainingFinishesWhatWasTakenAndRefusesTheRest) {
  controls_->runs.Close();
  Scheduler pool({1, 4});
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

TEST_F(SchedulerTest, ALateDrainFinishesWaitingRequestsWithUnavailable) {
  controls_->runs.Close();
  Scheduler pool({1, 4});
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

TEST_F(SchedulerTest, ConfiguresEachThreadOnce) {
  std::atomic<int> configured{0};
  {
    Scheduler pool({3, 4, {}, [&configured] { ++configured; }});
  }
  EXPECT_EQ(configured, 3);
}

TEST_F(SchedulerTest, AnswersEachOfManyRequestsOnce) {
  Scheduler pool({/*workers=*/4, /*queue_capacity=*/64});
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

// A worker is busy and calls wait, so that a test decides what waits together.
class BusySchedulerTest : public SchedulerTest {
 protected:
  BusySchedulerTest() {
    controls_->runs.Close();
    EXPECT_TRUE(pool_.Submit(busy_.Request(variant_), busy_.Done()).ok());
    controls_->runs.AwaitWaiting(1);
  }
  ~BusySchedulerTest() override { controls_->runs.Open(); }

  void Submit(Call* call, InferenceRequest request) {
    call->input[0] = static_cast<float>(++submitted_);
    const absl::Status taken = pool_.Submit(std::move(request), call->Done());
    EXPECT_TRUE(taken.ok()) << taken;
  }
  void Release() {
    controls_->runs.Open();
    EXPECT_TRUE(busy_.Await().status.ok());
  }
  int submitted_ = 0;
  Call busy_;
  Scheduler pool_{{/*workers=*/1, /*queue_capacity=*/64}};
};

TEST_F(BusySchedulerTest, RunsWhatWaitsTogetherAndGivesEachItsOwnRows) {
  Call one, two, three;
  two.input[12] = 20;
  Submit(&one, one.Request(variant_));
  Submit(&two, two.Request(variant_, 2));
  Submit(&three, three.Request(variant_));
  Release();
  for (Call* call : {&one, &two, &three}) {
    const InferenceResult result = call->Await();
    EXPECT_TRUE(result.status.ok()) << result.status;
    EXPECT_EQ(result.batch_size, 4);
  }
  EXPECT_EQ(one.output[0], 1);
  EXPECT_EQ(two.output[0], 2);
  EXPECT_EQ(two.output[testing::kFakeOutputs], 20);
  EXPECT_EQ(three.output[0], 3);
}

TEST_F(BusySchedulerTest, NeverRunsMoreThanTheEngineTakes) {
  Call calls[3];
  for (Call& call : calls) Submit(&call, call.Request(variant_, 5));
  Release();
  for (Call& call : calls) EXPECT_EQ(call.Await().batch_size, 5);
}

TEST_F(BusySchedulerTest, NeverMixesVariants) {
  Call first, second, third;
  Submit(&first, first.Request(variant_));
  Submit(&second, second.Request(other_));
  Submit(&third, third.Request(variant_));
  Release();
  EXPECT_EQ(first.Await().batch_size, 2);
  EXPECT_EQ(third.Await().batch_size, 2);
  EXPECT_EQ(second.Await().batch_size, 1);
}

TEST_F(BusySchedulerTest, AnErrorOfTheEngineIsEveryCallers) {
  controls_->fail_runs = true;
  Call first, second;
  Submit(&first, first.Request(variant_));
  Submit(&second, second.Request(variant_));
  controls_->runs.Open();
  EXPECT_EQ(first.Await().status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(second.Await().status.code(), absl::StatusCode::kInternal);
}

TEST_F(BusySchedulerTest, TheHighestPriorityGoesFirst) {
  std::vector<int> order;
  Call calls[3];
  const int priorities[] = {0, -5, 5};
  for (int i = 0; i < 3; ++i) {
    InferenceRequest request = calls[i].Request(variant_, 8);  // alone
    request.priority = priorities[i];
    ASSERT_TRUE(pool_
                    .Submit(std::move(request),
                            [&order, i,
                             done = calls[i].Done()](InferenceResult result) {
                              order.push_back(i);
                              done(std::move(result));
                            })
                    .ok());
  }
  Release();
  for (Call& call : calls) call.Await();
  EXPECT_THAT(order, ElementsAre(2, 0, 1));
}

// The first variant has a long queue; the other one's only request need not
// wait for all of it.
TEST_F(BusySchedulerTest, VariantsTakeTurns) {
  std::atomic<int> answered{0};
  int other_came = 0;
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 10; ++i) {
    calls.push_back(std::make_unique<Call>());
    ASSERT_TRUE(pool_
                    .Submit(calls[i]->Request(variant_, 8),
                            [&answered,
                             done = calls[i]->Done()](InferenceResult result) {
                              ++answered;
                              done(std::move(result));
                            })
                    .ok());
  }
  Call single;
  ASSERT_TRUE(pool_
                  .Submit(single.Request(other_),
                          [&, done = single.Done()](InferenceResult result) {
                            other_came = ++answered;
                            done(std::move(result));
                          })
                  .ok());
  Release();
  for (const auto& call : calls) call->Await();
  single.Await();
  EXPECT_LE(other_came, 3);
}

TEST_F(BusySchedulerTest, WhatExpiresInTheQueueIsAnsweredAtOnceAndNotRun) {
  Call expiring, patient;
  InferenceRequest request = expiring.Request(variant_);
  request.deadline = SteadyNow() + absl::Milliseconds(20);
  Submit(&expiring, std::move(request));
  Submit(&patient, patient.Request(variant_));
  // The worker is still busy.
  const InferenceResult expired = expiring.Await();
  EXPECT_EQ(expired.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_GE(expired.queue, absl::Milliseconds(20));
  EXPECT_EQ(expired.batch_size, 0);
  EXPECT_EQ(pool_.queue_depth(), 1);
  Release();
  EXPECT_EQ(patient.Await().batch_size, 1);
}

TEST_F(BusySchedulerTest, ACancelledRequestIsAnsweredAtOnceAndNotRun) {
  Call first, cancelled, last;
  Submit(&first, first.Request(variant_));
  InferenceRequest request = cancelled.Request(variant_);
  const uint64_t ticket = request.ticket = pool_.NewTicket();
  Submit(&cancelled, std::move(request));
  Submit(&last, last.Request(variant_));
  pool_.Cancel(ticket);
  EXPECT_EQ(cancelled.Await().status.code(), absl::StatusCode::kCancelled);
  pool_.Cancel(ticket);      // once more: nothing
  pool_.Cancel(1000000000);  // nobody's: nothing
  Release();
  EXPECT_EQ(first.Await().batch_size, 2);
  EXPECT_EQ(last.Await().batch_size, 2);
  EXPECT_EQ(cancelled.times(), 1);
}

TEST_F(SchedulerTest, CancellingWhatRunsChangesNothing) {
  controls_->runs.Close();
  Scheduler pool({1, 4});
  Call call;
  InferenceRequest request = call.Request(variant_);
  const uint64_t ticket = request.ticket = pool.NewTicket();
  ASSERT_TRUE(pool.Submit(std::move(request), call.Done()).ok());
  controls_->runs.AwaitWaiting(1);
  pool.Cancel(ticket);
  EXPECT_EQ(call.times(), 0);
  controls_->runs.Open();
  EXPECT_TRUE(call.Await().status.ok());
}

TEST_F(BusySchedulerTest, RefusesOnArrivalWhatCannotBeInTime) {
  for (int i = 0; i < 100; ++i) {
    variant_->estimate->Record(1, absl::Seconds(10));
  }
  Call call;
  InferenceRequest request = call.Request(variant_);
  request.deadline = SteadyNow() + absl::Seconds(1);
  const absl::Status refused = pool_.Submit(std::move(request), call.Done());
  EXPECT_EQ(refused.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("can't be kept"));
  request = call.Request(variant_);
  request.deadline = SteadyNow() - absl::Seconds(1);
  EXPECT_THAT(
      std::string(pool_.Submit(std::move(request), call.Done()).message()),
      HasSubstr("had passed"));
  EXPECT_EQ(call.times(), 0);
}

TEST_F(SchedulerTest, AQueueDelayLetsRequestsGather) {
  // Only a full batch can end the wait.
  Scheduler pool({1, 64, absl::Hours(1)});
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 8; ++i) {
    calls.push_back(std::make_unique<Call>());
    ASSERT_TRUE(
        pool.Submit(calls[i]->Request(variant_), calls[i]->Done()).ok());
  }
  for (const auto& call : calls) EXPECT_EQ(call->Await().batch_size, 8);
}

TEST_F(SchedulerTest, AQueueDelayEndsWhenItIsOverAndForADrain) {
  Call first, second;
  {
    Scheduler pool({1, 64, absl::Milliseconds(20)});
    ASSERT_TRUE(pool.Submit(first.Request(variant_), first.Done()).ok());
    EXPECT_GE(first.Await().queue, absl::Milliseconds(20));
  }
  Scheduler pool({1, 64, absl::Hours(1)});
  ASSERT_TRUE(pool.Submit(second.Request(variant_), second.Done()).ok());
  EXPECT_TRUE(pool.Drain(absl::Minutes(1)));
  EXPECT_TRUE(second.Await().status.ok());
}

TEST(ComputeEstimateTest, IsLowAndRecoversFromARefusal) {
  ComputeEstimate estimate({1, 2, 4});
  EXPECT_EQ(estimate.Of(1), absl::ZeroDuration());
  estimate.Record(3, absl::Milliseconds(8));  // padded to 4
  EXPECT_EQ(estimate.Of(4), absl::Milliseconds(8));
  EXPECT_EQ(estimate.PerSample(), absl::Milliseconds(2));
  estimate.Record(4, absl::Milliseconds(28));  // counts by a twentieth
  EXPECT_EQ(estimate.Of(4), absl::Milliseconds(9));
  estimate.Record(4, absl::Milliseconds(4));  // counts at once
  EXPECT_EQ(estimate.Of(4), absl::Milliseconds(4));
  for (int i = 0; i < 200; ++i) estimate.RecordRefusal(4);
  EXPECT_LT(estimate.Of(4), absl::Milliseconds(1));
  EXPECT_EQ(estimate.Of(100), estimate.Of(4));
}

}  // namespace
}  // namespace quantserve
