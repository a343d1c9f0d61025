// The codes that users build on, each from the real server over a real socket.
// One test for each row of the table:
//
//   INVALID_ARGUMENT                   WhatIsWrongWithATensor
//   NOT_FOUND                          UnknownModelsVariantsAndShards
//   FAILED_PRECONDITION                VariantsThatAreNotReadyAndRefusals; the
//                                      gate's: ServesFp32WhereTheGateRefuses
//                                      in serving_test.cc
//   UNAVAILABLE, with a pushback       AFullQueue, ADrainingServer
//   DEADLINE_EXCEEDED                  DeadlinesThatPassInTheServer
//   CANCELLED                          ACancelledCall
//   ABORTED                            ASecondQuantize
//   RESOURCE_EXHAUSTED                 MessagesAroundTheLimit
//   UNAUTHENTICATED, PERMISSION_DENIED AdministrationWithoutCredentials
//   INTERNAL                           WhereLibTorchFailsOnValidInput
//
// What the rows mean in detail is tested with fakes, which need no luck with
// the clock: tests/server/rpc/ and tests/server/core/.
#include <atomic>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "inference/grpc_service.grpc.pb.h"
#include "quantserve/v1/inference.grpc.pb.h"
#include "quantserve/v1/quantization.grpc.pb.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/http_get.h"

namespace quantserve {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;
using testing::ServerProcess;
using testing::SumOfMetric;

constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr int kLimit = 100000;

class CodesTest : public ::testing::Test {
 protected:
  void Serve(const std::vector<std::string>& flags = {}) {
    server_ = std::make_unique<ServerProcess>(model_, flags);
    server_->AwaitReady();
    channel_ = grpc::CreateChannel(server_->target(),
                                   grpc::InsecureChannelCredentials());
    predict_ = v1::InferenceService::NewStub(channel_);
    oip_ = inference::GRPCInferenceService::NewStub(channel_);
  }
  v1::PredictRequest Request(int64_t count = 1) const {
    v1::PredictRequest request;
    *request.add_inputs() = testing::ReadSamples(model_.test, 0, count);
    return request;
  }
  inference::ModelInferRequest Infer() const {
    inference::ModelInferRequest request;
    request.set_model_name("model");
    auto* input = request.add_inputs();
    input->set_name(input_);
    input->set_datatype("UINT8");
    const v1::Tensor tensor = testing::ReadSamples(model_.test, 0, 1);
    for (const int64_t dim : tensor.shape()) input->add_shape(dim);
    request.add_raw_input_contents(tensor.data());
    return request;
  }
  grpc::Status Call(const v1::PredictRequest& request,
                    grpc::ClientContext* context) {
    v1::PredictResponse response;
    return predict_->Predict(context, request, &response);
  }
  grpc::Status Call(const v1::PredictRequest& request) {
    grpc::ClientContext context;
    return Call(request, &context);
  }
  grpc::Status Call(const inference::ModelInferRequest& request) {
    grpc::ClientContext context;
    inference::ModelInferResponse response;
    return oip_->ModelInfer(&context, request, &response);
  }
  // On the main port, as a stranger.
  grpc::Status Quantize(const std::string& authorization = "") {
    grpc::ClientContext context;
    if (!authorization.empty()) {
      context.AddMetadata("authorization", authorization);
    }
    const auto reader = v1::QuantizationService::NewStub(channel_)->Quantize(
        &context, v1::QuantizeRequest());
    v1::QuantizeResponse event;
    while (reader->Read(&event)) {
    }
    return reader->Finish();
  }
  double Scraped(const std::string& name, const std::string& labels) const {
    return SumOfMetric(testing::HttpGet(server_->metrics_port()), name, labels);
  }

  // Keeps the only worker busy and some requests in the queue while it lives.
  class Busy {
   public:
    Busy(const ServerProcess& server, const v1::PredictRequest& request) {
      for (int i = 0; i < 4; ++i) {
        threads_.emplace_back([this, &server, request] {
          const auto client = server.NewClient();
          while (!stop_) (void)client->Predict(request);
        });
      }
    }
    ~Busy() {
      stop_ = true;
      for (std::thread& thread : threads_) thread.join();
    }

   private:
    std::atomic<bool> stop_{false};
    std::vector<std::thread> threads_;
  };

  const testing::TestModel& model_ = testing::QuickModel();
  std::unique_ptr<ServerProcess> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::InferenceService::Stub> predict_;
  std::unique_ptr<inference::GRPCInferenceService::Stub> oip_;
  std::string input_;
};

TEST_F(CodesTest, WhatIsWrongWithATensor) {
  Serve();
  const auto status = server_->NewClient()->GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  input_ = status->models(0).inputs(0).name();
  ASSERT_TRUE(Call(Request()).ok());
  ASSERT_TRUE(Call(Infer()).ok());
  using Change = void (*)(v1::Tensor*);
  const std::pair<const char*, Change> ours[] = {
      {"name", [](v1::Tensor* t) { t->set_name("no such input"); }},
      {"dtype", [](auto* t) { t->set_dtype(static_cast<v1::DataType>(9)); }},
      {"rank", [](auto* t) { t->add_shape(1); }},
      {"dimension", [](auto* t) { t->set_shape(3, 33); }},
      {"negative dimension", [](auto* t) { t->set_shape(0, -1); }},
      {"bytes", [](auto* t) { t->mutable_data()->pop_back(); }},
      {"overflow", [](auto* t) { t->set_shape(0, int64_t{1} << 62); }},
      {"overflow to fitting", [](auto* t) {
         t->set_shape(0, 1 + (int64_t{1} << 32));
         t->set_shape(1, 3 * (int64_t{1} << 32));
       }}};
  for (const auto& [what, change] : ours) {
    v1::PredictRequest request = Request();
    change(request.mutable_inputs(0));
    const grpc::Status answer = Call(request);
    EXPECT_EQ(answer.error_code(), StatusCode::INVALID_ARGUMENT)
        << what << ": " << answer.error_message();
  }
  inference::ModelInferRequest both = Infer();
  both.mutable_inputs(0)->mutable_contents()->add_uint_contents(1);
  EXPECT_EQ(Call(both).error_code(), StatusCode::INVALID_ARGUMENT);
  inference::ModelInferRequest datatype = Infer();
  datatype.mutable_inputs(0)->set_datatype("FP8");
  EXPECT_EQ(Call(datatype).error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(CodesTest, UnknownModelsVariantsAndShards) {
  Serve();
  v1::PredictRequest request = Request();
  request.set_variant("int4");
  EXPECT_EQ(Call(request).error_code(), StatusCode::NOT_FOUND);
  request = Request();
  request.set_model("other");
  EXPECT_EQ(Call(request).error_code(), StatusCode::NOT_FOUND);
  v1::QuantizeRequest quantize;
  quantize.set_calibration_shard("none");
  EXPECT_EQ(server_->NewClient()->Quantize(quantize, nullptr).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(CodesTest, VariantsThatAreNotReadyAndRefusals) {
  Serve();
  v1::PredictRequest request = Request();
  request.set_variant("bf16");
  const grpc::Status off = Call(request);
  EXPECT_EQ(off.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(off.error_message(), HasSubstr("bf16 is not ready: it is off"));
  v1::QuantizeRequest quantize;
  quantize.set_min_sqnr_db(200);
  EXPECT_EQ(server_->NewClient()->Quantize(quantize, nullptr).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(CodesTest, AFullQueue) {
  Serve({"--workers=1", "--queue=1"});
  std::atomic<int> refused{0}, other{0};
  std::vector<std::thread> callers;
  const absl::Time deadline = absl::Now() + kPatience;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] {
      while (refused == 0 && absl::Now() < deadline) {
        grpc::ClientContext context;
        const grpc::Status status = Call(Request(8), &context);
        if (status.ok()) continue;
        if (status.error_code() != StatusCode::UNAVAILABLE) ++other;
        ++refused;
        EXPECT_THAT(status.error_message(), HasSubstr("queue is full"));
        EXPECT_EQ(
            context.GetServerTrailingMetadata().count("grpc-retry-pushback-ms"),
            1);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_GT(refused, 0);
  EXPECT_EQ(other, 0);
}

TEST_F(CodesTest, ADrainingServer) {
  Serve();
  ASSERT_TRUE(Call(Request()).ok());
  server_->process().Signal(SIGTERM);
  grpc::Status status;
  const absl::Time deadline = absl::Now() + kPatience;
  do {
    grpc::ClientContext context;
    status = Call(Request(), &context);
    if (status.ok()) continue;
    EXPECT_THAT(status.error_message(), HasSubstr("shutting down"));
    EXPECT_EQ(
        context.GetServerTrailingMetadata().count("grpc-retry-pushback-ms"), 1);
  } while (status.ok() && absl::Now() < deadline);
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(server_->process().Wait(absl::Seconds(60)), 0);
}

TEST_F(CodesTest, DeadlinesThatPassInTheServer) {
  Serve({"--workers=1"});
  input_ = server_->NewClient()->GetStatus()->models(0).inputs(0).name();
  // The server's own clock alone: the client waits as long as it takes.
  inference::ModelInferRequest request = Infer();
  (*request.mutable_parameters())["timeout"].set_int64_param(1);
  EXPECT_EQ(Call(request).error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_GE(Scraped("quantserve_requests_total", "code=\"DEADLINE_EXCEEDED\""),
            1);
}

TEST_F(CodesTest, ACancelledCall) {
  Serve({"--workers=1"});
  const Busy busy(*server_, Request(8));
  const auto cancelled = [this] {
    return Scraped("quantserve_requests_total", "code=\"CANCELLED\"");
  };
  const absl::Time deadline = absl::Now() + kPatience;
  while (cancelled() == 0 && absl::Now() < deadline) {
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    v1::PredictResponse response;
    grpc::Status status;
    const auto call = predict_->AsyncPredict(&context, Request(8), &queue);
    call->Finish(&response, &status, nullptr);
    absl::SleepFor(absl::Milliseconds(1));
    context.TryCancel();
    void* tag;
    bool ok;
    queue.Next(&tag, &ok);
    EXPECT_TRUE(status.ok() || status.error_code() == StatusCode::CANCELLED)
        << status.error_message();
    queue.Shutdown();
    while (queue.Next(&tag, &ok)) {
    }
  }
  EXPECT_GT(cancelled(), 0);
}

TEST_F(CodesTest, ASecondQuantize) {
  Serve();
  const auto client = server_->NewClient();
  absl::Status second;
  const auto first = client->Quantize({}, [&](const v1::Progress&) {
    if (!second.ok()) return;
    second = server_->NewClient()->Quantize({}, nullptr).status();
  });
  EXPECT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(second.code(), absl::StatusCode::kAborted) << second;
}

TEST_F(CodesTest, MessagesAroundTheLimit) {
  Serve({"--max_message_bytes=" + std::to_string(kLimit)});
  // A field that the server does not know fills the message up.
  const auto sized = [this](size_t bytes) {
    v1::PredictRequest request = Request();
    auto* filler =
        v1::PredictRequest::GetReflection()->MutableUnknownFields(&request);
    constexpr int kField = 15, kOverhead = 1 + 3;  // its tag and its length
    filler->AddLengthDelimited(
        kField, std::string(bytes - request.ByteSizeLong() - kOverhead, 'x'));
    EXPECT_EQ(request.ByteSizeLong(), bytes);
    return request;
  };
  EXPECT_TRUE(Call(sized(kLimit)).ok());
  EXPECT_EQ(Call(sized(kLimit + 1)).error_code(),
            StatusCode::RESOURCE_EXHAUSTED);
  for (const size_t bytes : {kLimit, kLimit + 1}) {
    grpc::ClientContext context;
    const auto stream = predict_->PredictStream(&context);
    stream->Write(sized(bytes));
    stream->WritesDone();
    v1::PredictStreamReply reply;
    const bool answered = stream->Read(&reply) && reply.has_response();
    EXPECT_EQ(answered, bytes == kLimit);
    while (stream->Read(&reply)) {
    }
    EXPECT_EQ(
        stream->Finish().error_code(),
        bytes == kLimit ? StatusCode::OK : StatusCode::RESOURCE_EXHAUSTED);
  }
}

TEST_F(CodesTest, AdministrationWithoutCredentials) {
  const std::string token = "a-token-of-enough-letters";
  Serve({"--admin_token_file=" + testing::WriteBytes("token", token)});
  EXPECT_EQ(Quantize().error_code(), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Quantize("Bearer wrong").error_code(),
            StatusCode::PERMISSION_DENIED);
  const grpc::Status right = Quantize("Bearer " + token);
  EXPECT_TRUE(right.ok()) << right.error_message();
}

// An id that is no word of the model's is a number like any other to us.
TEST_F(CodesTest, WhereLibTorchFailsOnValidInput) {
  ServerProcess server(testing::OddModel("tokens"), {"--engine=torchscript"});
  server.AwaitReady();
  const auto client = server.NewClient();
  v1::PredictRequest request;
  request.set_variant("fp32");
  v1::Tensor* ids = request.add_inputs();
  ids->set_dtype(v1::INT64);
  for (const int64_t dim : {1, 12}) ids->add_shape(dim);
  std::vector<int64_t> words(12, 1);
  const auto call = [&] {
    ids->set_data(words.data(), words.size() * sizeof(int64_t));
    return client->Predict(request).status();
  };
  EXPECT_TRUE(call().ok());
  words[3] = 1000000;
  const absl::Status failed = call();
  EXPECT_EQ(failed.code(), absl::StatusCode::kInternal) << failed;
  const std::string message(failed.message());
  EXPECT_THAT(message, ::testing::Not(HasSubstr("/")));
  EXPECT_THAT(message, ::testing::Not(HasSubstr("0x")));
  words[3] = 1;
  EXPECT_TRUE(call().ok());
}

}  // namespace
}  // namespace quantserve
