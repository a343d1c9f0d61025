// PredictStream on real sockets.
#include <set>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/server/rpc/service_fixture.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;

class PredictStreamTest : public ServiceTest {
 protected:
  void Open() {
    Start();
    stub_ = v1::InferenceService::NewStub(channel_);
    stream_ = stub_->PredictStream(&context_);
  }
  static v1::PredictRequest Numbered(int number) {
    v1::PredictRequest request = Request("int8");
    request.set_id(std::to_string(number));
    const float values[12] = {static_cast<float>(number)};
    request.mutable_inputs(0)->set_data(values, sizeof(values));
    return request;
  }

  grpc::ClientContext context_;
  std::unique_ptr<v1::InferenceService::Stub> stub_;
  std::unique_ptr<
      grpc::ClientReaderWriter<v1::PredictRequest, v1::PredictStreamReply>>
      stream_;
};

TEST_F(PredictStreamTest, AnswersEachOfManyRequestsWithItsOwnRows) {
  options_.serving.queue_capacity = 64;
  Open();
  constexpr int kRequests = 1000;
  std::thread writer([this] {
    for (int i = 0; i < kRequests; ++i) {
      EXPECT_TRUE(stream_->Write(Numbered(i)));
    }
    stream_->WritesDone();
  });
  std::set<std::string> seen;
  v1::PredictStreamReply reply;
  while (stream_->Read(&reply)) {
    EXPECT_TRUE(reply.has_response()) << reply.ShortDebugString();
    EXPECT_TRUE(seen.insert(reply.id()).second);
    EXPECT_EQ(Values(reply.response().outputs(0))[0], std::stof(reply.id()));
  }
  writer.join();
  EXPECT_TRUE(stream_->Finish().ok());
  EXPECT_EQ(seen.size(), kRequests);
}

TEST_F(PredictStreamTest, ABadRequestIsAnsweredAndTheStreamGoesOn) {
  Open();
  v1::PredictRequest bad = Numbered(1);
  bad.set_variant("int4");
  EXPECT_TRUE(stream_->Write(bad));
  EXPECT_TRUE(stream_->Write(Numbered(2)));
  stream_->WritesDone();
  v1::PredictStreamReply reply;
  ASSERT_TRUE(stream_->Read(&reply));
  EXPECT_EQ(reply.id(), "1");
  EXPECT_EQ(reply.error().code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(reply.error().message(), HasSubstr("int4"));
  ASSERT_TRUE(stream_->Read(&reply));
  EXPECT_EQ(reply.id(), "2");
  EXPECT_TRUE(reply.has_response());
  EXPECT_FALSE(stream_->Read(&reply));
  EXPECT_TRUE(stream_->Finish().ok());
  EXPECT_EQ(Metric("quantserve_requests_total{code=\"NOT_FOUND\",model=\"fake"
                   "\",rpc=\"PredictStream\",variant=\"none\"}"),
            "1");
}

// The server holds no more than the window, however much a client sends.
TEST_F(PredictStreamTest, ReadsNoFurtherThanItsWindow) {
  options_.serving.stream_window = 3;
  options_.serving.queue_capacity = 64;
  Open();
  controls_->runs.Close();
  EXPECT_TRUE(stream_->Write(Numbered(0)));
  controls_->runs.AwaitWaiting(1);
  std::thread writer([this] {
    for (int i = 1; i < 40; ++i) EXPECT_TRUE(stream_->Write(Numbered(i)));
    stream_->WritesDone();
  });
  while (server_->pool().queue_depth() < 2) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(server_->pool().queue_depth(), 2);  // and one is being run
  controls_->runs.Open();
  v1::PredictStreamReply reply;
  int replies = 0;
  while (stream_->Read(&reply)) ++replies;
  writer.join();
  EXPECT_EQ(replies, 40);
  EXPECT_TRUE(stream_->Finish().ok());
}

TEST_F(PredictStreamTest, CancellingEmptiesTheQueue) {
  options_.serving.queue_capacity = 64;
  Open();
  controls_->runs.Close();
  EXPECT_TRUE(stream_->Write(Numbered(0)));
  controls_->runs.AwaitWaiting(1);
  for (int i = 1; i < 10; ++i) EXPECT_TRUE(stream_->Write(Numbered(i)));
  while (server_->pool().queue_depth() < 9) std::this_thread::yield();
  context_.TryCancel();
  while (server_->pool().queue_depth() > 0) std::this_thread::yield();
  EXPECT_EQ(stream_->Finish().error_code(), grpc::StatusCode::CANCELLED);
  controls_->runs.Open();
  EXPECT_TRUE(client_->Predict(Request()).ok());
  EXPECT_EQ(Metric("quantserve_unwanted_samples_total{model=\"fake\",variant="
                   "\"int8\"}"),
            "0");
}

// A client that sends and never reads keeps its connection up and its replies
// waiting; HTTP/2's windows are full soon.
TEST_F(PredictStreamTest, AClientThatNeverReadsLosesItsStream) {
  options_.network.connections.reply_timeout = absl::Milliseconds(300);
  Open();
  const std::string live = "quantserve_calls_in_flight{rpc=\"PredictStream\"}";
  const std::string abandoned =
      "quantserve_abandoned_calls_total{rpc=\"PredictStream\"}";
  EXPECT_TRUE(stream_->Write(Numbered(0)));
  EXPECT_EQ(Metric(live), "1");
  int written = 1;
  while (stream_->Write(Numbered(written))) ++written;
  EXPECT_GT(written, 32);
  const absl::Time done = absl::Now() + absl::Seconds(30);
  while (Metric(live) != "0" && absl::Now() < done) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_EQ(Metric(live), "0");
  EXPECT_EQ(Metric(abandoned), "1");
  // What the client's side has taken in comes before the end.
  v1::PredictStreamReply reply;
  while (stream_->Read(&reply)) {
  }
  EXPECT_EQ(stream_->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(client_->Predict(Request()).ok());
}

// Slow is not never: what is taken in time goes on.
TEST_F(PredictStreamTest, AnIdleStreamIsNotAbandoned) {
  options_.network.connections.reply_timeout = absl::Milliseconds(100);
  Open();
  v1::PredictStreamReply reply;
  for (int i = 0; i < 2; ++i) {
    absl::SleepFor(absl::Milliseconds(300));
    EXPECT_TRUE(stream_->Write(Numbered(i)));
    EXPECT_TRUE(stream_->Read(&reply));
  }
  stream_->WritesDone();
  EXPECT_TRUE(stream_->Finish().ok());
}

TEST_F(PredictStreamTest,
       ADrainingServerTakesNoNewStreamAndSaysWhenToTryAgain) {
  Start();
  server_->BeginShutdown();
  const auto stub = v1::InferenceService::NewStub(channel_);
  const auto stream = stub->PredictStream(&context_);
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(
      context_.GetServerTrailingMetadata().count("grpc-retry-pushback-ms"), 1);
}

// Peers that vanish in the middle leave nothing behind.
TEST_F(PredictStreamTest, AHundredVanishingClientsLeaveTheServerAsItWas) {
  options_.serving.queue_capacity = 64;
  Open();
  for (int i = 0; i < 100; ++i) {
    grpc::ClientContext context;
    grpc::ChannelArguments own;
    own.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    auto stub = v1::InferenceService::NewStub(grpc::CreateCustomChannel(
        target_, grpc::InsecureChannelCredentials(), own));
    auto stream = stub->PredictStream(&context);
    for (int n = 0; n < 5; ++n) stream->Write(Numbered(n));
    if (i % 2 == 0) context.TryCancel();
    stub.reset();  // the connection goes with its last user
  }
  stream_->WritesDone();
  EXPECT_TRUE(stream_->Finish().ok());
  const auto done = absl::Now() + absl::Seconds(10);
  while (server_->pool().queue_depth() > 0 && absl::Now() < done) {
    std::this_thread::yield();
  }
  EXPECT_EQ(server_->pool().queue_depth(), 0);
  EXPECT_TRUE(server_->Shutdown());
}

}  // namespace
}  // namespace quantserve
