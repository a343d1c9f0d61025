// The load generator of quantctl against a real server, whose model stands
// still when it is told to.
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "client/load/generator.h"
#include "client/load/transport.h"
#include "tests/server/rpc/service_fixture.h"

namespace quantserve {
namespace {

enum class Way { kUnary, kStream };

class LoadGeneratorTest : public ServiceTest,
                          public ::testing::WithParamInterface<Way> {
 protected:
  void SetUp() override {
    options_.serving.queue_capacity = 64;
    Start();
  }
  std::unique_ptr<Transport> Dial(const v1::PredictRequest& request) {
    const TransportOptions options = {target_, {}, 2};
    return GetParam() == Way::kUnary ? MakeUnaryTransport(options, request)
                                     : MakeStreamTransport(options, request, 2);
  }
  // One request, and what becomes of it.
  static absl::Status SendOne(Transport* transport, absl::Duration deadline,
                              v1::PredictResponse* response = nullptr) {
    absl::Notification done;
    absl::Status result;
    transport->Send(deadline, [&](const absl::Status& status,
                                  const v1::PredictResponse& answer) {
      result = status;
      if (response != nullptr) *response = answer;
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }
};

TEST_P(LoadGeneratorTest, AnswersAndErrorsAreTheServers) {
  const auto transport = Dial(Request("fp32"));
  v1::PredictResponse response;
  EXPECT_EQ(SendOne(transport.get(), absl::Seconds(30), &response),
            absl::OkStatus());
  EXPECT_EQ(Values(response.outputs(0))[1], 5);
  EXPECT_EQ(response.batch_size(), 1);
  const auto unknown = Dial(Request("int3"));
  const absl::Status status = SendOne(unknown.get(), absl::Seconds(30));
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
}

TEST_P(LoadGeneratorTest, EachOfManyClientsGetsItsAnswers) {
  const auto transport = Dial(Request("int8"));
  LoadOptions options;
  options.clients = 16;
  options.deadline = absl::Seconds(60);
  LoadWindow window;
  window.requests = 2000;
  Generator generator(transport.get(), options);
  const Load load = generator.Run(window);
  EXPECT_EQ(load.succeeded(), 2000) << load.Failure();
  EXPECT_GT(load.MeanBatch(), 1) << "16 calls in flight and one worker";
}

// Guards against coordinated omission, see GeneratorTest, with a server and
// time as they are.
TEST_P(LoadGeneratorTest, AStallShowsInThePercentiles) {
  const auto transport = Dial(Request("int8"));
  constexpr absl::Duration kStall = absl::Milliseconds(500);
  std::thread stall([this, kStall] {
    absl::SleepFor(absl::Milliseconds(100));
    controls_->runs.Close();
    controls_->runs.AwaitWaiting(1);
    absl::SleepFor(kStall);
    controls_->runs.Open();
  });
  LoadOptions options;
  options.rate = 200;
  options.arrivals = ArrivalProcess::kConstant;
  options.max_outstanding = 4;
  options.deadline = absl::Seconds(60);
  const Load load = Generator(transport.get(), options).Run({absl::Seconds(2)});
  stall.join();
  EXPECT_EQ(load.failed(), 0) << load.Failure();
  EXPECT_EQ(load.succeeded() + load.not_sent, 400);
  // 100 of 400 were meant to be sent while it stood still; only four were.
  EXPECT_GE(load.latency.Percentile(0.85), kStall / 4);
  EXPECT_GE(load.latency.max(), kStall * 0.9);
  EXPECT_GE(load.sent_late, 50);
}

TEST_P(LoadGeneratorTest, RefusalsOfAFullQueueAreCounted) {
  const auto transport = Dial(Request("int8"));
  controls_->runs.Close();
  std::thread opens([this] {
    controls_->runs.AwaitWaiting(1);
    while (Metric("quantserve_queue_depth") != "64") {
      absl::SleepFor(absl::Milliseconds(10));
    }
    absl::SleepFor(absl::Milliseconds(50));
    controls_->runs.Open();
  });
  LoadOptions options;
  options.clients = 100;
  options.deadline = absl::Seconds(60);
  LoadWindow window;
  window.requests = 1000;
  const Load load = Generator(transport.get(), options).Run(window);
  opens.join();
  EXPECT_EQ(load.succeeded() + load.failed(), 1000);
  EXPECT_GE(load.succeeded(), 64);
  ASSERT_EQ(load.failures.size(), 1) << load.Failure();
  EXPECT_EQ(load.Failure().code(), absl::StatusCode::kUnavailable);
}

TEST_P(LoadGeneratorTest, WhatIsNeverAnsweredEndsByItsDeadline) {
  const auto transport = Dial(Request("int8"));
  ASSERT_EQ(SendOne(transport.get(), absl::Seconds(30)), absl::OkStatus());
  controls_->runs.Close();
  const absl::Status status = SendOne(transport.get(), absl::Milliseconds(100));
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  controls_->runs.Open();
  const absl::Status next = SendOne(transport.get(), absl::Seconds(30));
  EXPECT_EQ(next, absl::OkStatus()) << "a new stream, if need be";
}

TEST_P(LoadGeneratorTest, AServerThatGoesIsUnavailable) {
  const auto transport = Dial(Request("int8"));
  ASSERT_EQ(SendOne(transport.get(), absl::Seconds(30)), absl::OkStatus());
  server_.reset();
  const absl::Status status = SendOne(transport.get(), absl::Seconds(30));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
}

INSTANTIATE_TEST_SUITE_P(Ways, LoadGeneratorTest,
                         ::testing::Values(Way::kUnary, Way::kStream),
                         [](const auto& way) {
                           return way.param == Way::kUnary ? "Unary" : "Stream";
                         });

}  // namespace
}  // namespace quantserve
