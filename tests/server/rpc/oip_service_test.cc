// The Open Inference Protocol on real sockets.
#include <thread>

#include "gmock/gmock.h"
#include "inference/grpc_service.grpc.pb.h"
#include "tests/server/rpc/service_fixture.h"

namespace quantserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class OipTest : public ServiceTest {
 protected:
  void StartWithStub() {
    Start();
    stub_ = inference::GRPCInferenceService::NewStub(channel_);
  }
  static inference::ModelInferRequest Infer(const std::string& version = "") {
    inference::ModelInferRequest request;
    request.set_model_name("fake");
    request.set_model_version(version);
    request.set_id("7");
    auto* input = request.add_inputs();
    input->set_name("x");
    input->set_datatype("FP32");
    for (int64_t dim : {1, 3, 2, 2}) input->add_shape(dim);
    for (int i = 0; i < 12; ++i) {
      input->mutable_contents()->add_fp32_contents(static_cast<float>(i));
    }
    return request;
  }
  static inference::ModelInferRequest Raw(const std::string& version = "") {
    inference::ModelInferRequest request = Infer(version);
    const auto& values = request.inputs(0).contents().fp32_contents();
    request.add_raw_input_contents(values.data(), 12 * sizeof(float));
    request.mutable_inputs(0)->clear_contents();
    return request;
  }
  grpc::Status Call(const inference::ModelInferRequest& request) {
    grpc::ClientContext context;
    response_.Clear();
    return stub_->ModelInfer(&context, request, &response_);
  }
  // A call that is answered at once.
  template <typename Request, typename Response>
  Response Ask(grpc::Status (inference::GRPCInferenceService::Stub::*rpc)(
                   grpc::ClientContext*, const Request&, Response*),
               const Request& request,
               grpc::StatusCode expected = grpc::StatusCode::OK) {
    grpc::ClientContext context;
    Response response;
    const grpc::Status status =
        (stub_.get()->*rpc)(&context, request, &response);
    EXPECT_EQ(status.error_code(), expected) << status.error_message();
    return response;
  }

  using Stub = inference::GRPCInferenceService::Stub;
  std::unique_ptr<Stub> stub_;
  inference::ModelInferResponse response_;
};

TEST_F(OipTest, InfersOnEachVersionFromRawAndTypedContents) {
  StartWithStub();
  for (const char* version : {"fp32", "int8"}) {
    for (const auto& request : {Infer(version), Raw(version)}) {
      const grpc::Status status = Call(request);
      ASSERT_TRUE(status.ok()) << status.error_message();
      EXPECT_EQ(response_.model_name(), "fake");
      EXPECT_EQ(response_.model_version(), version);
      EXPECT_EQ(response_.id(), "7");
      ASSERT_EQ(response_.outputs_size(), 1);
      EXPECT_EQ(response_.outputs(0).name(), "logits");
      EXPECT_EQ(response_.outputs(0).datatype(), "FP32");
      EXPECT_THAT(response_.outputs(0).shape(), ElementsAre(1, 4));
      ASSERT_EQ(response_.raw_output_contents(0).size(), 4 * sizeof(float));
      float values[4];
      std::memcpy(values, response_.raw_output_contents(0).data(), 16);
      EXPECT_THAT(values, ElementsAre(0, 1, 2, 3));
      EXPECT_EQ(response_.parameters().at("batch_size").int64_param(), 1);
      EXPECT_EQ(response_.parameters().at("generation").int64_param(), 1);
    }
  }
  ASSERT_TRUE(Call(Infer()).ok());
  EXPECT_EQ(response_.model_version(), "int8");
}

TEST_F(OipTest, TakesRawPixels) {
  StartWithStub();
  inference::ModelInferRequest request = Infer();
  auto* input = request.mutable_inputs(0);
  input->set_datatype("UINT8");
  input->clear_contents();
  for (int i = 0; i < 12; ++i)
    input->mutable_contents()->add_uint_contents(255);
  ASSERT_TRUE(Call(request).ok());
  input->mutable_contents()->set_uint_contents(3, 256);
  EXPECT_THAT(Call(request).error_message(), HasSubstr("has 256 among"));
}

TEST_F(OipTest, RefusesWhatMakesNoSense) {
  StartWithStub();
  struct Case {
    std::function<void(inference::ModelInferRequest*)> change;
    std::string error;
    grpc::StatusCode code = grpc::StatusCode::INVALID_ARGUMENT;
  };
  using Request = inference::ModelInferRequest;
  const Case cases[] = {
      {[](Request* r) { r->set_model_name("x"); }, "no model is named",
       grpc::StatusCode::NOT_FOUND},
      {[](Request* r) { r->set_model_version("4"); }, "no variant is named",
       grpc::StatusCode::NOT_FOUND},
      {[](Request* r) { r->add_raw_input_contents("x"); }, "as well"},
      {[](Request* r) {
         r->add_raw_input_contents("x");
         r->add_raw_input_contents("x");
       },
       "2 raw_input_contents for 1 inputs"},
      {[](Request* r) { r->mutable_inputs(0)->set_datatype("FP64"); },
       "has datatype \"FP64\", want FP32"},
      {[](Request* r) {
         r->mutable_inputs(0)->mutable_contents()->add_int64_contents(1);
       },
       "another type"},
      {[](Request* r) { r->mutable_inputs(0)->set_shape(0, -1); },
       "negative dimension"},
      {[](Request* r) { r->mutable_inputs(0)->set_shape(0, int64_t{1} << 62); },
       "too many elements"},
      {[](Request* r) { r->mutable_inputs(0)->set_shape(0, 2); }, "bytes"},
      {[](Request* r) { r->mutable_inputs(0)->set_name("y\n"); },
       "no input \"y\\n\""},
      {[](Request* r) { r->clear_inputs(); }, "0 inputs"},
      {[](Request* r) { r->add_outputs()->set_name("z"); }, "no output \"z\""},
      {[](Request* r) {
         (*r->mutable_parameters())["timeout"].set_int64_param(-1);
       },
       "timeout is -1"},
      {[](Request* r) {
         (*r->mutable_parameters())["priority"].set_string_param("high");
       },
       "priority is no integer"},
  };
  for (const Case& c : cases) {
    inference::ModelInferRequest request = Infer();
    c.change(&request);
    const grpc::Status status = Call(request);
    EXPECT_EQ(status.error_code(), c.code) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(c.error));
  }
  // Unknown parameters are none of its business.
  inference::ModelInferRequest request = Infer();
  (*request.mutable_parameters())["sequence_id"].set_int64_param(5);
  (*request.mutable_parameters())["priority"].set_uint64_param(1);
  (*request.mutable_parameters())["timeout"].set_int64_param(10000000);
  request.add_outputs()->set_name("logits");
  EXPECT_TRUE(Call(request).ok());
}

TEST_F(OipTest, ATimeoutIsADeadline) {
  StartWithStub();
  controls_->runs.Close();
  std::thread busy(
      [this] { EXPECT_TRUE(client_->Predict(Request("int8")).ok()); });
  controls_->runs.AwaitWaiting(1);
  inference::ModelInferRequest request = Infer("int8");
  (*request.mutable_parameters())["timeout"].set_int64_param(20000);
  EXPECT_EQ(Call(request).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  controls_->runs.Open();
  busy.join();
}

TEST_F(OipTest, DescribesServerAndModels) {
  StartWithStub();
  EXPECT_TRUE(Ask(&Stub::ServerLive, {}).live());
  EXPECT_TRUE(Ask(&Stub::ServerReady, {}).ready());
  EXPECT_EQ(Ask(&Stub::ServerMetadata, {}).name(), "quantserve");
  inference::ModelReadyRequest ready;
  ready.set_name("fake");
  EXPECT_TRUE(Ask(&Stub::ModelReady, ready).ready());
  ready.set_version("bf16");
  EXPECT_FALSE(Ask(&Stub::ModelReady, ready).ready());
  ready.set_version("4");
  Ask(&Stub::ModelReady, ready, grpc::StatusCode::NOT_FOUND);

  inference::ModelMetadataRequest metadata;
  metadata.set_name("fake");
  const auto model = Ask(&Stub::ModelMetadata, metadata);
  EXPECT_THAT(model.versions(), ElementsAre("fp32", "int8"));
  EXPECT_EQ(model.inputs(0).name(), "x");
  EXPECT_EQ(model.inputs(0).datatype(), "FP32");
  EXPECT_THAT(model.inputs(0).shape(), ElementsAre(-1, 3, 2, 2));
  EXPECT_THAT(model.outputs(0).shape(), ElementsAre(-1, 4));

  inference::ModelConfigRequest config;
  config.set_name("fake");
  const auto answer = Ask(&Stub::ModelConfig, config).config();
  EXPECT_EQ(answer.max_batch_size(), 8);
  EXPECT_TRUE(answer.has_dynamic_batching());
  EXPECT_EQ(answer.input(0).data_type(), inference::TYPE_FP32);
  EXPECT_THAT(answer.input(0).dims(), ElementsAre(3, 2, 2));

  const auto index = Ask(&Stub::RepositoryIndex, {});
  ASSERT_EQ(index.models_size(), 2);
  EXPECT_EQ(index.models(1).version(), "int8");
  EXPECT_EQ(index.models(1).state(), "READY");
}

TEST_F(OipTest, CountsWhatItDid) {
  StartWithStub();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Call(Infer("int8")).ok());
  controls_->fail_runs = true;
  EXPECT_EQ(Call(Infer("int8")).error_code(), grpc::StatusCode::INTERNAL);
  inference::ModelStatisticsRequest request;
  request.set_name("fake");
  request.set_version("int8");
  const auto statistics = Ask(&Stub::ModelStatistics, request);
  ASSERT_EQ(statistics.model_stats_size(), 1);
  const inference::ModelStatistics& int8 = statistics.model_stats(0);
  EXPECT_EQ(int8.inference_count(), 3);
  EXPECT_EQ(int8.execution_count(), 4);
  EXPECT_EQ(int8.inference_stats().success().count(), 3);
  EXPECT_EQ(int8.inference_stats().fail().count(), 1);
  EXPECT_EQ(int8.batch_stats(0).batch_size(), 1);
  EXPECT_GT(int8.last_inference(), 1600000000000);
  EXPECT_EQ(Ask(&Stub::ModelStatistics, {}).model_stats_size(), 2);
}

// perf_analyzer reads the versions in statistics as numbers, and ends if they
// are none.
TEST_F(OipTest, WhoeverNumbersVersionsIsAnsweredInNumbers) {
  StartWithStub();
  ASSERT_TRUE(Call(Infer("2")).ok());
  EXPECT_EQ(response_.model_version(), "2");
  ASSERT_TRUE(Call(Infer("int8")).ok());
  EXPECT_EQ(response_.model_version(), "int8");
  inference::ModelReadyRequest ready;
  ready.set_name("fake");
  ready.set_version("1");
  EXPECT_TRUE(Ask(&Stub::ModelReady, ready).ready());
  inference::ModelStatisticsRequest request;
  request.set_name("fake");
  const auto all = Ask(&Stub::ModelStatistics, request);
  ASSERT_EQ(all.model_stats_size(), 2);
  EXPECT_EQ(all.model_stats(0).version(), "1");
  EXPECT_EQ(all.model_stats(1).version(), "2");
  EXPECT_EQ(all.model_stats(1).inference_stats().queue().count(), 2);
  request.set_version("2");
  EXPECT_EQ(Ask(&Stub::ModelStatistics, request).model_stats(0).version(), "2");
}

TEST_F(OipTest, ClassifiesAnOutputOnRequest) {
  StartWithStub();
  inference::ModelInferRequest request = Infer("fp32");
  auto* output = request.add_outputs();
  output->set_name("logits");
  (*output->mutable_parameters())["classification"].set_int64_param(2);
  ASSERT_TRUE(Call(request).ok());
  EXPECT_EQ(response_.outputs(0).datatype(), "BYTES");
  EXPECT_THAT(response_.outputs(0).shape(), ElementsAre(1, 2));
  EXPECT_EQ(response_.raw_output_contents(0),
            std::string("\x0f\0\0\0", 4) + "3.000000:3:bird" +
                std::string("\x0f\0\0\0", 4) + "2.000000:2:fish");
  // No more than there are.
  (*output->mutable_parameters())["classification"].set_int64_param(9);
  ASSERT_TRUE(Call(request).ok());
  EXPECT_THAT(response_.outputs(0).shape(), ElementsAre(1, 4));
  (*output->mutable_parameters())["classification"].set_int64_param(0);
  EXPECT_THAT(Call(request).error_message(),
              HasSubstr("\"logits\" is 0, want 1 or more"));
}

TEST_F(OipTest, QuestionsTakeNoTurnOfTheRouting) {
  options_.models[0].rollout.int8_percent = 50;
  StartWithStub();
  int int8 = 0;
  for (int i = 0; i < 100; ++i) {
    inference::ModelReadyRequest ready;
    ready.set_name("fake");
    EXPECT_TRUE(Ask(&Stub::ModelReady, ready).ready());
    ASSERT_TRUE(Call(Infer()).ok());
    int8 += response_.model_version() == "int8" ? 1 : 0;
  }
  EXPECT_EQ(int8, 50);
}

TEST_F(OipTest, SaysWhenItIsNotReady) {
  Listen();
  stub_ = inference::GRPCInferenceService::NewStub(channel_);
  EXPECT_TRUE(Ask(&Stub::ServerLive, {}).live());
  EXPECT_FALSE(Ask(&Stub::ServerReady, {}).ready());
  EXPECT_EQ(Call(Infer()).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

}  // namespace
}  // namespace quantserve
