// The whole server in this process, on real sockets, around a fake model: for
// faults and the order of events that a real model can't be made to show.
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "client/client.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "server/rpc/quant_server.h"
#include "tests/server/rpc/service_fixture.h"

namespace quantserve {
namespace {

using grpc::health::v1::HealthCheckResponse;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(ServiceTest, PredictsOnBothVariantsAndSaysWhichAnswered) {
  Start();
  v1::PredictRequest request = Request("fp32");
  request.set_top_k(2);
  const auto fp32 = client_->Predict(request);
  ASSERT_TRUE(fp32.ok()) << fp32.status();
  EXPECT_EQ(fp32->model(), "fake");
  EXPECT_EQ(fp32->variant(), "fp32");
  EXPECT_EQ(fp32->generation(), 1);
  EXPECT_EQ(fp32->outputs(0).name(), "logits");
  EXPECT_THAT(Values(fp32->outputs(0)), ElementsAre(1, 5, 3, 4));
  EXPECT_EQ(fp32->top_k(0).entries(0).label(), "dog");
  EXPECT_EQ(fp32->top_k(0).entries(1).label(), "bird");
  EXPECT_TRUE(fp32->has_queue_time());
  EXPECT_TRUE(fp32->has_compute_time());
  EXPECT_EQ(client_->Predict(Request())->variant(), "int8");
}

TEST_F(ServiceTest, PreprocessesRawPixels) {
  options_.models[0].model.preprocessing.scale = 2;
  Start();
  v1::PredictRequest request = Request("fp32");
  request.mutable_inputs(0)->set_dtype(v1::UINT8);
  request.mutable_inputs(0)->set_data(
      std::string("\1\2\3\4\0\0\0\0\0\0\0\0", 12));
  const auto response = client_->Predict(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_THAT(Values(response->outputs(0)), ElementsAre(2, 4, 6, 8));
}

TEST_F(ServiceTest, IsLiveBeforeItIsReady) {
  controls_->quantizes.Close();
  Listen();
  EXPECT_EQ(Health(""), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Health("quantserve.v1.InferenceService"),
            HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(client_->Predict(Request()).status().code(),
            absl::StatusCode::kFailedPrecondition);
  // The job's slot is free, but not for callers.
  EXPECT_EQ(client_->Quantize({}, nullptr).status().code(),
            absl::StatusCode::kFailedPrecondition);
  std::thread starter([this] { EXPECT_TRUE(server_->StartUp().ok()); });
  controls_->quantizes.AwaitWaiting(1);
  EXPECT_EQ(Health(""), HealthCheckResponse::NOT_SERVING);
  const auto status = client_->GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_FALSE(status->server().ready());
  EXPECT_EQ(status->models(0).running_job().name(), "start");
  EXPECT_EQ(client_->Quantize({}, nullptr).status().code(),
            absl::StatusCode::kFailedPrecondition);
  controls_->quantizes.Open();
  starter.join();
  EXPECT_EQ(Health(""), HealthCheckResponse::SERVING);
  EXPECT_EQ(Health("quantserve.v1.InferenceService"),
            HealthCheckResponse::SERVING);
  EXPECT_EQ(Health("quantserve.v1.QuantizationService"),
            HealthCheckResponse::SERVING);
  EXPECT_TRUE(client_->AwaitReady(absl::Seconds(5)).ok());
}

TEST_F(ServiceTest, WatchersSeeTheServerComeAndGo) {
  Listen();
  grpc::ClientContext context;
  const auto stub = grpc::health::v1::Health::NewStub(channel_);
  const auto reader = stub->Watch(&context, {});
  HealthCheckResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  ASSERT_TRUE(server_->StartUp().ok());
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  server_->BeginShutdown();
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  // A watcher that stays must not hold up the end.
  EXPECT_TRUE(server_->Shutdown());
}

TEST_F(ServiceTest, EachMistakeOfACallerHasItsCode) {
  Start();
  const auto code = [this](const v1::PredictRequest& request) {
    return client_->Predict(request).status().code();
  };
  v1::PredictRequest request = Request();
  request.set_model("other");
  EXPECT_EQ(code(request), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(Request("int4")), absl::StatusCode::kNotFound);
  EXPECT_EQ(code({}), absl::StatusCode::kInvalidArgument);
  request = Request();
  request.mutable_inputs(0)->set_shape(0, 2);
  EXPECT_EQ(code(request), absl::StatusCode::kInvalidArgument);
  request = Request();
  request.set_top_k(5);
  EXPECT_EQ(code(request), absl::StatusCode::kInvalidArgument);
  request = Request();
  request.mutable_inputs(0)->set_data(std::string(100 << 10, 'x'));
  EXPECT_EQ(code(request), absl::StatusCode::kResourceExhausted);

  v1::QuantizeRequest quantize;
  quantize.set_calibration_shard("../../etc/passwd");
  EXPECT_EQ(client_->Quantize(quantize, nullptr).status().code(),
            absl::StatusCode::kNotFound);
  quantize.set_calibration_shard("");
  quantize.set_samples(-1);
  EXPECT_EQ(client_->Quantize(quantize, nullptr).status().code(),
            absl::StatusCode::kInvalidArgument);
  quantize.set_samples(0);
  quantize.set_range_method("median");
  EXPECT_EQ(client_->Quantize(quantize, nullptr).status().code(),
            absl::StatusCode::kInvalidArgument);
  v1::GetStatusRequest status;
  status.set_model("other");
  EXPECT_EQ(client_->GetStatus(status).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(client_->Evaluate({}).status().code(),
            absl::StatusCode::kInvalidArgument);

  EXPECT_TRUE(client_->Predict(Request()).ok());
  EXPECT_EQ(Metric("quantserve_requests_total{code=\"NOT_FOUND\",model="
                   "\"none\",rpc=\"Predict\",variant=\"none\"}"),
            "1");
  EXPECT_EQ(Metric("quantserve_requests_total{code=\"NOT_FOUND\",model="
                   "\"fake\",rpc=\"Predict\",variant=\"none\"}"),
            "1");
  EXPECT_EQ(Metric("quantserve_requests_total{code=\"INVALID_ARGUMENT\","
                   "model=\"fake\",rpc=\"Quantize\",variant=\"int8\"}"),
            "2");
}

TEST_F(ServiceTest, SeveralModelsShareTheServer) {
  options_.models.push_back(options_.models[0]);
  options_.models[1].model.name = "other";
  options_.models[1].quantization.calibration_shard = "";
  Start();
  v1::PredictRequest request = Request();
  EXPECT_EQ(client_->Predict(request).status().message(),
            "the request names no model, there are several: fake, other");
  for (const char* name : {"fake", "other"}) {
    request.set_model(name);
    const auto response = client_->Predict(request);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->model(), name);
  }
  // Each has its own variants, generations and jobs.
  v1::QuantizeRequest quantize;
  quantize.set_model("other");
  quantize.set_calibration_shard("calibration");
  const auto result = client_->Quantize(quantize, nullptr);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->generation(), 1);
  const auto status = client_->GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  ASSERT_EQ(status->models_size(), 2);
  EXPECT_EQ(status->models(0).name(), "fake");
  EXPECT_EQ(status->models(1).default_variant(), "int8");
  v1::GetStatusRequest one;
  one.set_model("other");
  EXPECT_EQ(client_->GetStatus(one)->models_size(), 1);
  EXPECT_EQ(Metric("quantserve_variant_ready{model=\"other\",variant="
                   "\"int8\"}"),
            "1");
}

TEST_F(ServiceTest, AFullQueueIsAFastRefusalThatSaysWhenToTryAgain) {
  Start();
  controls_->runs.Close();
  std::vector<std::thread> callers;
  const auto call = [this] { EXPECT_TRUE(client_->Predict(Request()).ok()); };
  callers.emplace_back(call);
  controls_->runs.AwaitWaiting(1);
  callers.emplace_back(call);
  callers.emplace_back(call);
  while (server_->pool().queue_depth() < 2) std::this_thread::yield();
  EXPECT_EQ(Metric("quantserve_queue_depth"), "2");

  grpc::ClientContext context;
  v1::PredictResponse response;
  const auto stub = v1::InferenceService::NewStub(channel_);
  const grpc::Status status = stub->Predict(&context, Request(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("queue is full"));
  EXPECT_EQ(context.GetServerTrailingMetadata().count("grpc-retry-pushback-ms"),
            1);
  controls_->runs.Open();
  for (std::thread& caller : callers) caller.join();
}

TEST_F(ServiceTest, AnEnginesFailureStaysInTheServer) {
  Start();
  controls_->fail_runs = true;
  const auto response = client_->Predict(Request());
  EXPECT_EQ(response.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(response.status().message()),
              Not(HasSubstr("secret")));
  controls_->fail_runs = false;
  EXPECT_TRUE(client_->Predict(Request()).ok());
}

TEST_F(ServiceTest, QuantizeStreamsProgressAndThenTheReport) {
  Start();
  std::vector<std::string> phases;
  const auto result = client_->Quantize({}, [&](const v1::Progress& progress) {
    if (phases.empty() || phases.back() != progress.phase()) {
      phases.push_back(progress.phase());
    }
  });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->published());
  EXPECT_EQ(result->generation(), 2);
  EXPECT_EQ(result->report().shard(), "calibration");
  EXPECT_EQ(result->report().layers(0).op(), "Linear");
  EXPECT_EQ(result->comparison().agreement(), 1);
  EXPECT_TRUE(result->gate().passed());
  EXPECT_FALSE(result->int8().has_accuracy());
  EXPECT_FALSE(phases.empty());
  EXPECT_EQ(client_->Predict(Request("int8"))->generation(), 2);
  EXPECT_EQ(
      Metric("quantserve_variant_generation{model=\"fake\",variant=\"int8\"}"),
      "2");
  EXPECT_EQ(Metric("quantserve_quantization_runs_total{model=\"fake\",result="
                   "\"published\"}"),
            "2");
}

TEST_F(ServiceTest, ARefusalComesWithItsNumbers) {
  Start();
  controls_->wrong_int8 = true;
  v1::QuantizeResult refused;
  const auto result = client_->Quantize({}, nullptr, &refused);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(result.status().message()),
              HasSubstr("the gate refused"));
  EXPECT_FALSE(refused.gate().passed());
  EXPECT_FALSE(refused.published());
  EXPECT_LT(refused.comparison().agreement(), 0.5);
  EXPECT_EQ(client_->Predict(Request("int8"))->generation(), 1);
  const auto status = client_->GetStatus();
  EXPECT_THAT(status->models(0).last_quantization().error(),
              HasSubstr("the gate refused"));
}

TEST_F(ServiceTest, ABudgetThatIsNotKeptIsARefusalWithItsReport) {
  Start();
  v1::QuantizeRequest request;
  request.set_max_drop(0);
  request.set_report(true);
  v1::QuantizeResult refused;
  const auto result = client_->Quantize(request, nullptr, &refused);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(result.status().message()),
              HasSubstr("budget not reachable: wanted a drop"));
  EXPECT_TRUE(refused.gate().passed());
  EXPECT_FALSE(refused.report().budget().reached());
  EXPECT_THAT(refused.report_html(), HasSubstr("budget not reachable"));
  EXPECT_THAT(testing::HttpGet(server_->metrics_port()),
              HasSubstr("quantserve_quantization_runs_total{model=\"fake\","
                        "result=\"refused\"}"
                        " 1\n"));
  EXPECT_EQ(client_->Predict(Request("int8"))->generation(), 1);
}

TEST_F(ServiceTest, ARequestsOptionsWinOverTheConfiguredOnes) {
  options_.models[0].quantization.options.keep_fp32 = {"stem"};
  options_.models[0].quantization.options.max_drop = 0.5;
  Start();
  const auto start = client_->GetStatus()->models(0).last_quantization();
  EXPECT_THAT(start.report().notes(), ElementsAre("kept stem"));
  EXPECT_TRUE(start.report().budget().reached());
  v1::QuantizeRequest request;
  request.add_keep_fp32("head");
  const auto result = client_->Quantize(request, nullptr);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->report().notes(), ElementsAre("kept head"));
  EXPECT_EQ(result->report_html(), "");
  request.set_max_drop(0);
  EXPECT_FALSE(client_->Quantize(request, nullptr).ok());
}

// A report is for who asked for it, once.
TEST_F(ServiceTest, TheReportIsSentAndNotKept) {
  Start();
  v1::QuantizeRequest request;
  request.set_report(true);
  request.set_dry_run(true);
  const auto result = client_->Quantize(request, nullptr);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->report_html(), HasSubstr("fake"));
  EXPECT_THAT(result->report_html(), Not(HasSubstr("fake.pt")));
  EXPECT_THAT(result->report_json(), HasSubstr("\"counts\":[1,1,"));
  EXPECT_THAT(result->report_json(), HasSubstr("\"LibTorch\""));
  const auto status = client_->GetStatus();
  const v1::QuantizeResult& last = status->models(0).last_quantization();
  EXPECT_EQ(last.report_html() + last.report_json(), "");
  EXPECT_EQ(last.report().layers_size(), 1);
}

TEST_F(ServiceTest, ASecondJobIsAbortedAndTheFirstGoesOn) {
  Start();
  controls_->quantizes.Close();
  std::thread first([this] {
    const auto result = client_->Quantize({}, nullptr);
    EXPECT_TRUE(result.ok()) << result.status();
  });
  controls_->quantizes.AwaitWaiting(1);
  EXPECT_EQ(client_->Quantize({}, nullptr).status().code(),
            absl::StatusCode::kAborted);
  v1::EvaluateRequest evaluate;
  evaluate.set_shard("calibration");
  EXPECT_EQ(client_->Evaluate(evaluate).status().code(),
            absl::StatusCode::kAborted);
  EXPECT_TRUE(client_->Predict(Request()).ok());
  controls_->quantizes.Open();
  first.join();
  const auto evaluated = client_->Evaluate(evaluate);
  ASSERT_TRUE(evaluated.ok()) << evaluated.status();
  EXPECT_EQ(evaluated->variant(), "int8");
  EXPECT_EQ(evaluated->generation(), 2);
  EXPECT_EQ(evaluated->evaluation().samples(), 40);
  EXPECT_EQ(evaluated->comparison().agreement(), 1);
}

TEST_F(ServiceTest, ACallerThatGoesAwayCancelsItsJob) {
  Start();
  controls_->quantizes.Close();
  grpc::ClientContext context;
  const auto stub = v1::QuantizationService::NewStub(AdminChannel());
  const auto reader = stub->Quantize(&context, {});
  controls_->quantizes.AwaitWaiting(1);
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  // The server learns of it in its own time. Opening the gate earlier would let
  // the job go on and publish.
  while (!server_->models().all()[0]->running_job()->cancelled)
    std::this_thread::yield();
  controls_->quantizes.Open();
  while (server_->models().all()[0]->running_job().has_value())
    std::this_thread::yield();
  EXPECT_EQ(Metric("quantserve_quantization_runs_total{model=\"fake\",result="
                   "\"cancelled\"}"),
            "1");
  EXPECT_EQ(client_->Predict(Request("int8"))->generation(), 1);
}

TEST_F(ServiceTest, ShuttingDownFinishesWhatIsInFlight) {
  Start();
  controls_->runs.Close();
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([this] {
      const auto response = client_->Predict(Request());
      EXPECT_TRUE(response.ok()) << response.status();
    });
    if (i == 0) controls_->runs.AwaitWaiting(1);
  }
  while (server_->pool().queue_depth() < 2) std::this_thread::yield();
  server_->BeginShutdown();
  EXPECT_EQ(Health(""), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Metric("quantserve_ready"), "0");
  EXPECT_EQ(client_->Predict(Request()).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(client_->Quantize({}, nullptr).status().code(),
            absl::StatusCode::kUnavailable);
  std::thread opener([this] { controls_->runs.Open(); });
  EXPECT_TRUE(server_->Shutdown());
  opener.join();
  for (std::thread& caller : callers) caller.join();
}

TEST_F(ServiceTest, ShuttingDownEndsAtItsDeadline) {
  options_.network.drain = absl::Milliseconds(20);
  Start();
  controls_->runs.Close();
  absl::Status running, waiting;
  std::thread first([&] { running = client_->Predict(Request()).status(); });
  controls_->runs.AwaitWaiting(1);
  std::thread second([&] { waiting = client_->Predict(Request()).status(); });
  while (server_->pool().queue_depth() < 1) std::this_thread::yield();
  std::thread opener([this, &second] {
    // The running one can't be taken back; the waiting one is told at once.
    second.join();
    controls_->runs.Open();
  });
  EXPECT_FALSE(server_->Shutdown());
  opener.join();
  first.join();
  EXPECT_EQ(waiting.code(), absl::StatusCode::kUnavailable);
}

TEST_F(ServiceTest, StoppingDuringTheStartEndsIt) {
  controls_->quantizes.Close();
  Listen();
  absl::Status started;
  std::thread starter([&] { started = server_->StartUp(); });
  controls_->quantizes.AwaitWaiting(1);
  server_->BeginShutdown();
  controls_->quantizes.Open();
  starter.join();
  EXPECT_EQ(started.code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(server_->Shutdown());
}

TEST_F(ServiceTest, SaysThatThePortIsInUse) {
  Start();
  options_.network.port = server_->port();
  ServerParts parts;
  ModelParts& model = parts.models.emplace_back();
  model.pipeline = testing::MakeFakePipeline(controls_);
  model.shards =
      std::make_unique<ShardStore>(options_.models[0].quantization.shards);
  const auto second = QuantServer::Listen(options_, std::move(parts));
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(std::string(second.status().message()),
            "cannot listen on " + target_ +
                " for gRPC: the port is in use, or the address is not this "
                "machine's");
  EXPECT_TRUE(client_->Predict(Request()).ok());
}

TEST_F(ServiceTest, StatusTellsEverythingAboutTheModel) {
  Start();
  const auto status = client_->GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_TRUE(status->server().ready());
  EXPECT_EQ(status->server().version(), "1.2.3");
  EXPECT_EQ(status->server().workers(), 1);
  EXPECT_EQ(status->server().queue_capacity(), 2);
  EXPECT_GT(status->server().cpu().cores(), 0);
  const v1::ModelStatus& model = status->models(0);
  EXPECT_EQ(model.name(), "fake");
  EXPECT_EQ(model.default_variant(), "int8");
  EXPECT_THAT(model.inputs(0).shape(), ElementsAre(3, 2, 2));
  EXPECT_THAT(model.class_names(), ElementsAre("cat", "dog", "fish", "bird"));
  EXPECT_THAT(model.shards(), ElementsAre("calibration"));
  EXPECT_TRUE(model.last_quantization().published());
  const v1::VariantStatus& int8 = model.variants(1);
  EXPECT_EQ(int8.name(), "int8");
  EXPECT_TRUE(int8.ready());
  EXPECT_EQ(int8.engine().name(), "fake");
  EXPECT_EQ(int8.engine().weight_bytes(), 1000);
  EXPECT_EQ(int8.size_bytes(), 1000);
  EXPECT_TRUE(int8.gate().passed());
  EXPECT_EQ(int8.evaluation().samples(), 10);
  EXPECT_GT(int8.published().seconds(), 1600000000);
}

}  // namespace
}  // namespace quantserve
