#include "server/core/shadow.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <limits>
#include <memory>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "server/core/scheduler.h"
#include "tests/testing/fake_model.h"

namespace quantserve {
namespace {

using testing::FakeControls;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Nothing is dropped because the thread holds the lock just then.
void Patient(ShadowRunner::Options* options) {
  options->lock_attempts = 10000000;
  options->configure_thread = [] {
    sched_param none = {};
    pthread_setschedparam(pthread_self(), SCHED_OTHER, &none);
  };
}

// FP32 answers with a sample's first four numbers, INT8 with them reversed.
class ShadowTest : public ::testing::Test {
 protected:
  ShadowTest() {
    Add(VariantId::kFp32, 1, fp32_);
    Add(VariantId::kInt8, 1, int8_, /*reversed=*/true);
    ShadowRunner::Options options;
    options.busy = [this] { return busy_.load(); };
    Patient(&options);
    runner_ = std::make_unique<ShadowRunner>(options);
    shadow_ = std::make_unique<Shadow>(&registry_, &metrics_, runner_.get());
  }
  ~ShadowTest() override {
    fp32_->runs.Open();
    int8_->runs.Open();
    runner_->Stop();
  }

  static std::unique_ptr<ServedVariant> Make(
      VariantId id, int64_t generation, std::shared_ptr<FakeControls> controls,
      bool reversed = false) {
    CompiledVariant compiled;
    compiled.engine =
        testing::MakeFakeEngine(VariantName(id), std::move(controls), reversed);
    return *MakeServedVariant(id, generation, std::move(compiled), {}, 1);
  }
  void Add(VariantId id, int64_t generation,
           const std::shared_ptr<FakeControls>& controls,
           bool reversed = false) {
    registry_.Publish(Make(id, generation, controls, reversed));
  }

  // A sample of four numbers was answered with them, as FP32 would.
  void Submit(VariantId variant, const std::vector<float>& numbers,
              int64_t generation = 1) {
    shadow_->Submit({variant, generation, 1, nullptr, 12 * sizeof(float)},
                    [&](std::vector<ShadowInput>* inputs, std::string* answer) {
                      ++copies_;
                      std::vector<float> sample = numbers;
                      sample.resize(12);
                      inputs->push_back({DType::kF32, Bytes(sample)});
                      *answer = Bytes(numbers);
                    });
  }
  static std::string Bytes(const std::vector<float>& numbers) {
    return {reinterpret_cast<const char*>(numbers.data()),
            numbers.size() * sizeof(float)};
  }
  // The first pair's, once `samples` and `dropped` are what they become.
  ShadowComparison Await(int64_t samples, int64_t dropped = 0) {
    const absl::Time deadline = absl::Now() + absl::Minutes(2);
    while (true) {
      const auto rows = shadow_->comparisons();
      if (!rows.empty() && rows[0].sums.samples >= samples &&
          rows[0].dropped >= dropped) {
        EXPECT_EQ(rows[0].sums.samples, samples);
        EXPECT_EQ(rows[0].dropped, dropped);
        return rows[0];
      }
      if (absl::Now() > deadline) {
        ADD_FAILURE() << "waited in vain";
        return {};
      }
      std::this_thread::yield();
    }
  }

  std::shared_ptr<FakeControls> fp32_ = std::make_shared<FakeControls>();
  std::shared_ptr<FakeControls> int8_ = std::make_shared<FakeControls>();
  std::atomic<bool> busy_{false};
  int copies_ = 0;
  VariantRegistry registry_;
  prometheus::Registry prometheus_;
  ShadowMetrics metrics_{&prometheus_, "m"};
  std::unique_ptr<ShadowRunner> runner_;
  std::unique_ptr<Shadow> shadow_;
};

TEST_F(ShadowTest, Int8RunsBesideFp32) {
  Submit(VariantId::kFp32, {1, 5, 3, 4});
  const ShadowComparison row = Await(1);
  EXPECT_EQ(row.pair.answered, VariantId::kFp32);
  EXPECT_EQ(row.pair.shadow, ShadowSide::kInt8);
  EXPECT_EQ(row.sums.agreeing, 0);
  EXPECT_EQ(row.sums.signal, 1 + 25 + 9 + 16);
  EXPECT_EQ(row.sums.noise, 9 + 4 + 4 + 9);  // against {4, 3, 5, 1}
}

// The signal is FP32's then, too. {6, 0, 0, 0} stands for an answer of INT8's.
TEST_F(ShadowTest, Fp32RunsBesideInt8) {
  shadow_->Submit({VariantId::kInt8, 1, 1, nullptr, 48},
                  [&](std::vector<ShadowInput>* inputs, std::string* answer) {
                    inputs->push_back({DType::kF32, Bytes({1, 0, 0, 2, 0, 0, 0,
                                                           0, 0, 0, 0, 0})});
                    *answer = Bytes({6, 0, 0, 0});
                  });
  const ShadowComparison row = Await(1);
  EXPECT_EQ(row.pair.shadow, ShadowSide::kFp32);
  EXPECT_EQ(row.sums.signal, 1 + 4);
  EXPECT_EQ(row.sums.noise, 25 + 4);
}

TEST_F(ShadowTest, ACandidateRunsBesideWhateverAnswered) {
  registry_.Hold(Make(VariantId::kInt8, 2, int8_));
  Submit(VariantId::kInt8, {4, 3, 2, 1});
  const ShadowComparison row = Await(1);
  EXPECT_EQ(row.pair.shadow, ShadowSide::kCandidate);
  EXPECT_EQ(row.shadow_generation, 2);
  EXPECT_EQ(row.sums.agreeing, 1);
  EXPECT_EQ(row.sums.noise, 0);
}

TEST_F(ShadowTest, AnotherGenerationStartsAnew) {
  Submit(VariantId::kFp32, {1, 5, 3, 4});
  Await(1);
  Add(VariantId::kInt8, 2, int8_);
  Submit(VariantId::kFp32, {1, 5, 3, 4});
  const absl::Time deadline = absl::Now() + absl::Minutes(2);
  while (shadow_->comparisons()[0].shadow_generation != 2 &&
         absl::Now() < deadline) {
    std::this_thread::yield();
  }
  const ShadowComparison row = Await(1);
  EXPECT_EQ(row.shadow_generation, 2);
  EXPECT_EQ(row.sums.agreeing, 1);
}

TEST_F(ShadowTest, NothingIsComparedWithWhatIsNotServed) {
  VariantRegistry empty;
  Shadow shadow(&empty, &metrics_, runner_.get());
  shadow.Submit({VariantId::kFp32, 1, 1, nullptr, 48},
                [&](std::vector<ShadowInput>*, std::string*) { ++copies_; });
  EXPECT_EQ(copies_, 0);
  EXPECT_TRUE(shadow.comparisons().empty());
}

TEST_F(ShadowTest, WhileLiveRequestsWaitNothingIsTakenNorCopied) {
  busy_ = true;
  Submit(VariantId::kFp32, {1, 5, 3, 4});
  EXPECT_EQ(copies_, 0);
  Await(0, 1);
  busy_ = false;
  Submit(VariantId::kFp32, {1, 5, 3, 4});
  Await(1, 1);
}

// A shadow that never ends holds up no request and no caller, and what it lets
// pile up is bounded.
TEST_F(ShadowTest, AStuckShadowHoldsNothingUp) {
  int8_->runs.Close();
  Submit(VariantId::kFp32, {1, 5, 3, 4});
  int8_->runs.AwaitWaiting(1);
  for (int i = 0; i < 40; ++i) Submit(VariantId::kFp32, {1, 5, 3, 4});
  Await(0, 40 - ShadowRunner::Options().max_jobs);
  Scheduler scheduler({1});
  for (int i = 0; i < 100; ++i) {
    std::vector<float> input(12), output(4);
    InferenceRequest request;
    request.variant = registry_.Get(VariantId::kFp32);
    request.inputs = {{DType::kF32, input.data()}};
    request.outputs = {output.data()};
    std::atomic<bool> done{false};
    ASSERT_TRUE(scheduler
                    .Submit(std::move(request),
                            [&](const InferenceResult& result) {
                              EXPECT_TRUE(result.status.ok());
                              done = true;
                            })
                    .ok());
    while (!done) std::this_thread::yield();
  }
  int8_->runs.Open();
  Await(1 + ShadowRunner::Options().max_jobs,
        40 - ShadowRunner::Options().max_jobs);
}

TEST_F(ShadowTest, BytesAreBoundedAsWell) {
  ShadowRunner::Options options;
  options.max_bytes = 100;
  Patient(&options);
  ShadowRunner runner(options);
  EXPECT_TRUE(runner.HasRoom(100));
  EXPECT_FALSE(runner.HasRoom(101));
}

TEST_F(ShadowTest, FailuresAndNaNsSpoilNoSums) {
  Submit(VariantId::kFp32, {1, kNaN, 3, 4});
  Await(0, 1);
  int8_->fail_runs = true;
  Submit(VariantId::kFp32, {1, 5, 3, 4});
  Await(0, 2);
  int8_->fail_runs = false;
  Submit(VariantId::kFp32, {1, 5, 3, 4});
  EXPECT_EQ(Await(1, 2).sums.signal, 51);
}

TEST_F(ShadowTest, StoppingForgetsWhatWaits) {
  int8_->runs.Close();
  for (int i = 0; i < 5; ++i) Submit(VariantId::kFp32, {1, 5, 3, 4});
  int8_->runs.AwaitWaiting(1);
  runner_->Close();
  EXPECT_FALSE(runner_->HasRoom(0));
  int8_->runs.Open();
  runner_->Stop();
  EXPECT_EQ(Await(1).sums.samples, 1);
}

TEST_F(ShadowTest, ARetiredVariantIsNotHeldOnTo) {
  Submit(VariantId::kFp32, {1, 5, 3, 4});
  Await(1);
  Add(VariantId::kInt8, 2, int8_);
  const absl::Time deadline = absl::Now() + absl::Minutes(2);
  while (int8_->engines != 1 && absl::Now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_EQ(int8_->engines, 1);
}

TEST_F(ShadowTest, TheThreadGetsTheTimeThatNobodyWants) {
  std::atomic<int> policy{-1};
  ShadowRunner::Options options;
  options.configure_thread = [&] { policy = sched_getscheduler(0); };
  ShadowRunner runner(options);
  while (policy == -1) std::this_thread::yield();
  EXPECT_EQ(policy, SCHED_IDLE);
}

TEST(EvenShareTest, IsExactInEveryHundred) {
  EvenShare share(0);
  EXPECT_FALSE(share.Next());
  for (const int percent : {1, 37, 50, 99, 100}) {
    share.Set(percent);
    int taken = 0;
    for (int i = 0; i < 100; ++i) taken += share.Next() ? 1 : 0;
    EXPECT_EQ(taken, percent);
  }
}

}  // namespace
}  // namespace quantserve
