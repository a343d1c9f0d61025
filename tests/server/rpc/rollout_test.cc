// How a new INT8 variant comes to serve, on real sockets with a fake model:
// candidates, rolling back, shares, health, and a hundred swaps under load.
#include <atomic>
#include <thread>

#include "gmock/gmock.h"
#include "tests/server/rpc/service_fixture.h"

namespace quantserve {
namespace {

using Health = grpc::health::v1::HealthCheckResponse;
using ::testing::HasSubstr;

class RolloutTest : public ServiceTest {
 protected:
  v1::QuantizeResult Quantize(bool hold = false) {
    v1::QuantizeRequest request;
    request.set_hold(hold);
    const auto result = client_->Quantize(request, nullptr);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : v1::QuantizeResult();
  }
  int64_t Served() {
    const auto response = client_->Predict(Request("int8"));
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->generation() : 0;
  }
  // Of a hundred requests that name no variant.
  int Int8Answers() {
    int answers = 0;
    for (int i = 0; i < 100; ++i) {
      const auto response = client_->Predict(Request());
      EXPECT_TRUE(response.ok()) << response.status();
      answers += response.ok() && response->variant() == "int8" ? 1 : 0;
    }
    return answers;
  }
  // Engines are counted while they live; those that were replaced go on a
  // thread of the registry's own.
  bool EnginesBecome(int wanted) {
    const absl::Time deadline = absl::Now() + absl::Seconds(5);
    while (controls_->engines != wanted && absl::Now() < deadline) {
      std::this_thread::yield();
    }
    return controls_->engines == wanted;
  }
};

TEST_F(RolloutTest, ACandidateWaitsForItsPromotion) {
  Start();
  ASSERT_EQ(Served(), 1);
  const v1::QuantizeResult result = Quantize(/*hold=*/true);
  EXPECT_TRUE(result.held());
  EXPECT_FALSE(result.published());
  EXPECT_EQ(result.generation(), 2);
  EXPECT_EQ(Served(), 1);
  EXPECT_EQ(client_->GetStatus()->models(0).candidate().generation(), 2);
  EXPECT_EQ(Metric("quantserve_candidate_generation{model=\"fake\"}"), "2");

  v1::PromoteRequest other;
  other.set_generation(7);
  EXPECT_EQ(
      client_->Promote(other).status(),
      absl::FailedPreconditionError("the candidate is of generation 2, not 7"));
  const auto promoted = client_->Promote({});
  ASSERT_TRUE(promoted.ok()) << promoted.status();
  EXPECT_EQ(promoted->generation(), 2);
  EXPECT_EQ(Served(), 2);
  EXPECT_FALSE(client_->GetStatus()->models(0).has_candidate());
  EXPECT_EQ(Metric("quantserve_candidate_generation{model=\"fake\"}"), "0");
  EXPECT_EQ(Metric("quantserve_variant_generation{model=\"fake\","
                   "variant=\"int8\"}"),
            "2");
  EXPECT_EQ(client_->Promote({}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(RolloutTest, ALaterCandidateTakesTheEarliersPlace) {
  Start();
  Quantize(/*hold=*/true);
  EXPECT_EQ(Quantize(/*hold=*/true).generation(), 3);
  EXPECT_TRUE(EnginesBecome(3));  // FP32, INT8, one candidate
  EXPECT_EQ(client_->Promote({})->generation(), 3);
  EXPECT_TRUE(EnginesBecome(2));
}

TEST_F(RolloutTest, HoldAndDryRunContradictEachOther) {
  Start();
  v1::QuantizeRequest request;
  request.set_hold(true);
  request.set_dry_run(true);
  EXPECT_EQ(client_->Quantize(request, nullptr).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(RolloutTest, RollbackExchangesTheLastTwo) {
  options_.models[0].rollout.keep_previous = true;
  Start();
  EXPECT_EQ(client_->Rollback({}).status().code(),
            absl::StatusCode::kFailedPrecondition);
  Quantize();
  ASSERT_EQ(Served(), 2);
  const auto back = client_->Rollback({});
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->generation(), 1);
  EXPECT_EQ(back->previous_generation(), 2);
  EXPECT_EQ(Served(), 1);
  EXPECT_EQ(client_->GetStatus()->models(0).previous_generation(), 2);
  EXPECT_EQ(client_->Rollback({})->generation(), 2);
  // A generation is never given twice.
  EXPECT_EQ(client_->Rollback({})->generation(), 1);
  EXPECT_EQ(Quantize().generation(), 3);
  EXPECT_TRUE(EnginesBecome(3));  // FP32, INT8, and the one before
}

TEST_F(RolloutTest, RollbackSaysWhatItTakes) {
  Start();
  Quantize();
  EXPECT_THAT(client_->Rollback({}).status().message(),
              HasSubstr("--keep_previous"));
}

TEST_F(RolloutTest, RequestsAreSharedOutExactly) {
  Start();
  EXPECT_EQ(Int8Answers(), 100);
  v1::SetRoutingRequest request;
  for (int percent : {0, 1, 37, 50, 99, 100}) {
    request.set_int8_percent(percent);
    ASSERT_TRUE(client_->SetRouting(request).ok());
    EXPECT_EQ(Int8Answers(), percent);
  }
  request.set_int8_percent(101);
  EXPECT_EQ(client_->SetRouting(request).status(),
            absl::InvalidArgumentError("int8_percent is 101, want 0 to 100"));
  request.set_int8_percent(25);
  ASSERT_TRUE(client_->SetRouting(request).ok());
  EXPECT_EQ(client_->GetStatus()->models(0).routing().int8_percent(), 25);
  EXPECT_EQ(client_->GetStatus()->models(0).default_variant(), "fp32");
  EXPECT_EQ(Metric("quantserve_int8_share_ratio{model=\"fake\"}"), "0.25");
}

TEST_F(RolloutTest, StrangersRollNothingOut) {
  Start();
  const auto stub = v1::QuantizationService::NewStub(channel_);
  v1::PromoteResponse promoted;
  v1::RollbackResponse restored;
  v1::SetRoutingResponse routed;
  grpc::ClientContext contexts[3];
  EXPECT_EQ(stub->Promote(&contexts[0], {}, &promoted).error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(stub->Rollback(&contexts[1], {}, &restored).error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(stub->SetRouting(&contexts[2], {}, &routed).error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(RolloutTest, HealthKnowsModelsAndVariants) {
  Listen();
  for (const char* name : {"", "fake", "fake/fp32", "fake/int8"}) {
    EXPECT_EQ(ServiceTest::Health(name), Health::NOT_SERVING) << name;
  }
  ASSERT_TRUE(server_->StartUp().ok());
  for (const char* name : {"", "fake", "fake/fp32", "fake/int8"}) {
    EXPECT_EQ(ServiceTest::Health(name), Health::SERVING) << name;
  }
  EXPECT_EQ(ServiceTest::Health("fake/bf16"), Health::NOT_SERVING);
}

// What a restart is decided by: not by what is served.
TEST_F(RolloutTest, HealthCallsTheProcessLiveWhateverItServes) {
  options_.models[0].rollout.require_int8 = true;
  controls_->fail_quantize = true;
  Listen();
  EXPECT_EQ(ServiceTest::Health("live"), Health::SERVING);
  ASSERT_TRUE(server_->StartUp().ok());
  EXPECT_EQ(ServiceTest::Health(""), Health::NOT_SERVING);
  EXPECT_EQ(ServiceTest::Health("live"), Health::SERVING);
  server_->BeginShutdown();
  EXPECT_EQ(ServiceTest::Health("live"), Health::SERVING);
}

TEST_F(RolloutTest, ARequiredInt8IsWaitedFor) {
  options_.models[0].rollout.require_int8 = true;
  controls_->fail_quantize = true;
  Start();
  EXPECT_EQ(ServiceTest::Health(""), Health::NOT_SERVING);
  EXPECT_EQ(ServiceTest::Health("fake"), Health::NOT_SERVING);
  EXPECT_EQ(ServiceTest::Health("fake/fp32"), Health::SERVING);
  EXPECT_FALSE(client_->GetStatus()->server().ready());
  controls_->fail_quantize = false;
  Quantize();
  EXPECT_EQ(ServiceTest::Health(""), Health::SERVING);
  EXPECT_TRUE(client_->GetStatus()->server().ready());
  EXPECT_EQ(Metric("quantserve_ready"), "1");
}

TEST_F(RolloutTest, WithoutBeingRequiredInt8IsNotWaitedFor) {
  controls_->fail_quantize = true;
  Start();
  EXPECT_EQ(ServiceTest::Health(""), Health::SERVING);
  EXPECT_EQ(ServiceTest::Health("fake/int8"), Health::NOT_SERVING);
}

TEST_F(RolloutTest, ALameDuckIsNotReadyAndStillAnswers) {
  // It counts from Shutdown, which comes at the test's end.
  options_.network.lame_duck = absl::Milliseconds(1);
  Start();
  server_->BeginShutdown();
  EXPECT_EQ(ServiceTest::Health(""), Health::NOT_SERVING);
  EXPECT_EQ(ServiceTest::Health("fake/int8"), Health::NOT_SERVING);
  EXPECT_EQ(Metric("quantserve_ready"), "0");
  EXPECT_TRUE(client_->Predict(Request()).ok());
  EXPECT_EQ(client_->Quantize({}, nullptr).status().code(),
            absl::StatusCode::kUnavailable);
}

// Of every reply: its generation was served between sending and receiving. And
// nothing is left behind of what was replaced.
TEST_F(RolloutTest, AHundredSwapsUnderLoadLoseNothingAndLeakNothing) {
  options_.serving.workers = 2;
  options_.serving.queue_capacity = 64;
  Start();
  const VariantRegistry& registry = server_->models().all()[0]->registry();
  std::atomic<bool> stop{false};
  std::atomic<int64_t> answers{0}, failures{0}, stale{0};
  std::vector<std::thread> clients;
  clients.reserve(8);
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] {
      Client client(target_);
      while (!stop) {
        const int64_t before = registry.Get(VariantId::kInt8)->generation;
        const auto response = client.Predict(Request("int8"));
        const int64_t after = registry.Get(VariantId::kInt8)->generation;
        if (!response.ok()) {
          ++failures;
          ADD_FAILURE() << response.status();
          return;
        }
        ++answers;
        const int64_t generation = response->generation();
        if (generation < before || generation > after) ++stale;
      }
    });
  }
  for (int swap = 0; swap < 100; ++swap) {
    const int64_t seen = answers;
    Quantize();
    // Some of the load meets each generation.
    while (answers < seen + 8 && failures == 0) std::this_thread::yield();
  }
  stop = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(Served(), 101);
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(stale, 0);
  EXPECT_GE(answers, 800);
  EXPECT_TRUE(EnginesBecome(2)) << controls_->engines << " engines live";
}

// The count above would see it.
TEST_F(RolloutTest, AVariantThatIsHeldOnToIsSeen) {
  Start();
  auto leaked = server_->models().all()[0]->registry().Get(VariantId::kInt8);
  Quantize();
  EXPECT_EQ(controls_->engines, 3);
  leaked.reset();
  EXPECT_TRUE(EnginesBecome(2));
}

}  // namespace
}  // namespace quantserve
