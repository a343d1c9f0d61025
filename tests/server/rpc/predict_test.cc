// Predict's deadlines, cancellation and priorities, on real sockets.
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "tests/server/rpc/service_fixture.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;

class PredictTest : public ServiceTest {
 protected:
  // A server whose worker is busy until controls_->runs opens.
  void StartBusy() {
    Start();
    stub_ = v1::InferenceService::NewStub(channel_);
    controls_->runs.Close();
    busy_ = std::thread(
        [this] { EXPECT_TRUE(client_->Predict(Request("int8")).ok()); });
    controls_->runs.AwaitWaiting(1);
  }
  void Release() {
    controls_->runs.Open();
    busy_.join();
  }
  std::string Dropped(const std::string& reason) {
    return Metric("quantserve_dropped_requests_total{model=\"fake\",reason=\"" +
                  reason + "\",variant=\"int8\"}");
  }

  std::unique_ptr<v1::InferenceService::Stub> stub_;
  std::thread busy_;
};

TEST_F(PredictTest, ACancelledCallLeavesTheQueueAndIsNeverRun) {
  StartBusy();
  grpc::ClientContext context;
  std::thread cancelled([&] {
    v1::PredictResponse response;
    EXPECT_EQ(stub_->Predict(&context, Request("int8"), &response).error_code(),
              grpc::StatusCode::CANCELLED);
  });
  while (server_->pool().queue_depth() < 1) std::this_thread::yield();
  context.TryCancel();
  // The worker is still busy.
  while (server_->pool().queue_depth() > 0) std::this_thread::yield();
  cancelled.join();
  Release();
  EXPECT_EQ(Dropped("cancelled"), "1");
  EXPECT_EQ(Metric("quantserve_batch_size_samples_sum{model=\"fake\",variant="
                   "\"int8\"}"),
            "1");
  EXPECT_EQ(Metric("quantserve_unwanted_samples_total{model=\"fake\",variant="
                   "\"int8\"}"),
            "0");
}

TEST_F(PredictTest, AnExpiredCallLeavesTheQueueAndIsNeverRun) {
  StartBusy();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(50));
  v1::PredictResponse response;
  EXPECT_EQ(stub_->Predict(&context, Request("int8"), &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  while (server_->pool().queue_depth() > 0) std::this_thread::yield();
  Release();
  EXPECT_EQ(Metric("quantserve_batch_size_samples_sum{model=\"fake\",variant="
                   "\"int8\"}"),
            "1");
}

TEST_F(PredictTest, RefusesACallThatCantBeInTime) {
  Start();
  const auto variant =
      server_->models().all()[0]->registry().Get(VariantId::kInt8);
  for (int i = 0; i < 200; ++i) {
    variant->estimate->Record(1, absl::Seconds(60));
  }
  const auto refused = client_->Predict(Request("int8"));  // within 10 s
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("can't be kept"));
  EXPECT_EQ(Dropped("deadline_unreachable"), "1");
}

TEST_F(PredictTest, SaysWhatItWasRunWithAndRepeatsTheId) {
  StartBusy();
  std::vector<std::thread> callers;
  for (int i = 0; i < 2; ++i) {
    callers.emplace_back([this, i] {
      v1::PredictRequest request = Request("int8");
      request.set_id("call " + std::to_string(i));
      const auto response = client_->Predict(request);
      ASSERT_TRUE(response.ok()) << response.status();
      EXPECT_EQ(response->batch_size(), 2);
      EXPECT_EQ(response->id(), request.id());
    });
  }
  while (server_->pool().queue_depth() < 2) std::this_thread::yield();
  Release();
  for (std::thread& caller : callers) caller.join();
}

TEST_F(PredictTest, RefusesHintsOutOfRange) {
  Start();
  v1::PredictRequest request = Request();
  request.set_priority(11);
  EXPECT_EQ(client_->Predict(request).status().message(),
            "priority is 11, want -10 to 10");
  request.set_priority(-10);
  EXPECT_TRUE(client_->Predict(request).ok());
  request.set_id(std::string(257, 'x'));
  EXPECT_EQ(client_->Predict(request).status().message(),
            "id has 257 bytes, want at most 256");
}

}  // namespace
}  // namespace quantserve
