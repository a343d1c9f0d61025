// What operators rely on: logs that nobody can forge, stops that lose nothing,
// shadows of live traffic. The real binary with a real model.
#include <csignal>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "inference/grpc_service.grpc.pb.h"
#include "nlohmann/json.hpp"
#include "quant/eval/evaluate.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/generic_call.h"
#include "tests/testing/http_get.h"

namespace quantserve {
namespace {

using testing::CallWithBytes;
using ::testing::ContainsRegex;
using testing::Finished;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::RunProcess;
using testing::ServerProcess;
using testing::TestModel;

// Tries to end the line, begin another, end the string and speak to a terminal.
const char kHostile[] =
    "x\n2026-01-01 00:00:00.000 E forged\r\x1b[2J\x1b[31m\"}\n"
    "{\"level\":\"error\",\"message\":\"forged\"}\xc2\x9b\xe2\x80\xa8\t\\";
const char kSecret[] = "correct-horse-battery-staple";

class OperationsTest : public ::testing::Test {
 protected:
  v1::PredictRequest Request(const std::string& variant) const {
    v1::PredictRequest request;
    request.set_variant(variant);
    *request.add_inputs() = testing::ReadSamples(model_.test, 0, 1);
    return request;
  }
  const TestModel& model_ = testing::SmallModel();
};

class HostileNamesTest : public OperationsTest,
                         public ::testing::WithParamInterface<const char*> {
 protected:
  // Every name that a caller may give, hostile.
  void SendThemAll(const ServerProcess& server) {
    const auto client = server.NewClient();
    v1::PredictRequest request = Request(kHostile);
    EXPECT_EQ(client->Predict(request).status().code(),
              absl::StatusCode::kNotFound);
    request = Request("fp32");
    request.set_id(kHostile);
    EXPECT_TRUE(client->Predict(request).ok());
    request.mutable_inputs(0)->set_name(kHostile);
    EXPECT_EQ(client->Predict(request).status().code(),
              absl::StatusCode::kInvalidArgument);
    request.set_model(kHostile);
    EXPECT_EQ(client->Predict(request).status().code(),
              absl::StatusCode::kNotFound);
    v1::QuantizeRequest quantize;
    quantize.set_calibration_shard(kHostile);
    EXPECT_EQ(client->Quantize(quantize, nullptr).status().code(),
              absl::StatusCode::kNotFound);
    quantize.set_range_method(kHostile);
    EXPECT_EQ(client->Quantize(quantize, nullptr).status().code(),
              absl::StatusCode::kInvalidArgument);
    v1::EvaluateRequest evaluate;
    evaluate.set_shard(kHostile);
    EXPECT_EQ(client->Evaluate(evaluate).status().code(),
              absl::StatusCode::kNotFound);
    const auto channel = grpc::CreateChannel(
        server.target(), grpc::InsecureChannelCredentials());
    const auto oip = inference::GRPCInferenceService::NewStub(channel);
    grpc::ClientContext context;
    inference::ModelInferRequest infer;
    infer.set_model_name(kHostile);
    infer.set_model_version(kHostile);
    infer.set_id(kHostile);
    inference::ModelInferResponse answer;
    EXPECT_EQ(oip->ModelInfer(&context, infer, &answer).error_code(),
              grpc::StatusCode::NOT_FOUND);
    // Names that are no UTF-8, and a method that there is not.
    const std::string bad("\x0a\x04\xff\xfe\n\x1b", 6);
    EXPECT_FALSE(
        CallWithBytes(channel, "/quantserve.v1.InferenceService/Predict", bad)
            .ok());
    EXPECT_FALSE(CallWithBytes(
                     channel, "/quantserve.v1.QuantizationService/Promote", bad,
                     {{"authorization", absl::StrCat("Bearer ", kSecret)}})
                     .ok());
    EXPECT_FALSE(CallWithBytes(channel, "/x/\x1b[31m", bad).ok());
  }
};

INSTANTIATE_TEST_SUITE_P(Formats, HostileNamesTest,
                         ::testing::Values("plain", "json"),
                         [](const auto& info) { return info.param; });

TEST_P(HostileNamesTest, ForgeAndBreakNoLineOfTheLog) {
  ServerProcess server(
      model_, {absl::StrCat("--log_format=", GetParam()), "--log_level=debug",
               "--admin_token_file=" + testing::WriteBytes("token", kSecret)});
  server.AwaitReady();
  SendThemAll(server);
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(absl::Minutes(2)), 0);
  const std::string log = server.process().err();
  EXPECT_THAT(log, Not(HasSubstr(kSecret)));
  bool told_id = false, told_shard = false;
  for (const absl::string_view line :
       absl::StrSplit(log, '\n', absl::SkipEmpty())) {
    for (const char c : line) {
      ASSERT_TRUE(c >= 0x20 && c < 0x7f) << line;
    }
    if (std::string(GetParam()) == "plain") {
      EXPECT_THAT(std::string(line),
                  ContainsRegex("^20[0-9-]+ [0-9:.]+ [DIWE] "));
      EXPECT_THAT(std::string(line), Not(ContainsRegex("^[0-9: .-]+E forged")));
      told_id |= line.find("id \"x\\n2026-01-01") != line.npos;
      told_shard |= line.find("I Evaluate from ") != line.npos;
      continue;
    }
    const auto entry = nlohmann::json::parse(line, nullptr, false);
    ASSERT_TRUE(entry.is_object()) << line;
    for (const char* field : {"time", "level", "message"}) {
      ASSERT_TRUE(entry.contains(field) && entry[field].is_string()) << line;
    }
    EXPECT_NE(entry["message"], "forged");
    if (entry.value("id", "") == kHostile && entry["rpc"] == "Predict" &&
        entry["code"] == "OK") {
      told_id = true;
      EXPECT_EQ(entry["variant"], "fp32");
      EXPECT_FALSE(entry["model"].get<std::string>().empty());
      EXPECT_GT(entry["duration"].get<double>(), 0);
      EXPECT_THAT(entry["peer"].get<std::string>(), HasSubstr("127.0.0.1"));
    }
    if (entry.value("rpc", "") == "Evaluate") {
      told_shard = true;
      EXPECT_EQ(entry["level"], "info");
      EXPECT_EQ(entry["code"], "NOT_FOUND");
    }
  }
  EXPECT_TRUE(told_id) << log;
  EXPECT_TRUE(told_shard) << log;
}

TEST_F(OperationsTest, AStartThatFailsIsALineOfJsonToo) {
  std::vector<std::string> command = model_.Command();
  command.insert(command.end(), {"--port=0", "--metrics_port=0",
                                 "--log_format=json", "--model=/no/such.pt"});
  const Finished run = RunProcess(command);
  EXPECT_EQ(run.code, 1);
  const std::vector<std::string> lines =
      absl::StrSplit(run.err, '\n', absl::SkipEmpty());
  ASSERT_FALSE(lines.empty());
  const auto last = nlohmann::json::parse(lines.back(), nullptr, false);
  ASSERT_TRUE(last.is_object()) << run.err;
  EXPECT_EQ(last["level"], "error");
  EXPECT_THAT(last["message"].get<std::string>(), HasSubstr("/no/such.pt"));
}

TEST_F(OperationsTest, ALameDuckAnswersUntilASecondSignalEndsIt) {
  ServerProcess server(model_, {"--lame_duck_seconds=3600"});
  server.AwaitReady();
  const auto client = server.NewClient();
  server.process().Signal(SIGTERM);
  const absl::Time deadline = absl::Now() + absl::Minutes(1);
  while (client->GetStatus()->server().ready() && absl::Now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_FALSE(client->GetStatus()->server().ready());
  for (int i = 0; i < 10; ++i) {
    const auto response = client->Predict(Request("int8"));
    EXPECT_TRUE(response.ok()) << response.status();
  }
  EXPECT_TRUE(server.process().running());
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(absl::Minutes(1)), 1);
}

TEST_F(OperationsTest, ALameDuckEndsWithZero) {
  ServerProcess server(model_, {"--lame_duck_seconds=0.2"});
  server.AwaitReady();
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(absl::Minutes(1)), 0);
  EXPECT_THAT(server.process().err(), HasSubstr("not ready any more"));
  EXPECT_THAT(server.process().err(), HasSubstr("stopped"));
}

// The comparison is that of the answers that a client gets.
TEST_F(OperationsTest, ShadowsCompareWhatEachVariantAnswers) {
  ServerProcess server(model_);
  server.AwaitReady();
  const auto client = server.NewClient();
  const std::string quantctl = absl::StrCat(QUANTSERVE_BIN_DIR, "/quantctl");
  const auto run = [&](std::vector<std::string> words) {
    words.insert(words.begin(), quantctl);
    words.push_back("--server=" + server.target());
    const Finished finished = RunProcess(words);
    EXPECT_EQ(finished.code, 0) << finished.err;
    return finished.out;
  };
  ComparisonSums expected;
  std::vector<std::vector<float>> answers;
  for (const char* variant : {"fp32", "int8"}) {
    const auto response = client->Predict(Request(variant));
    ASSERT_TRUE(response.ok()) << response.status();
    const std::string& data = response->outputs(0).data();
    std::memcpy(answers.emplace_back(data.size() / sizeof(float)).data(),
                data.data(), data.size());
  }
  expected.Add(answers[0], answers[1]);
  EXPECT_THAT(run({"route", "--shadow_percent=100"}),
              HasSubstr("100 % of all are shadowed"));
  // In which direction makes no difference: FP32 is the signal.
  for (const std::string variant : {"fp32", "int8"}) {
    const absl::Time deadline = absl::Now() + absl::Minutes(2);
    v1::ShadowComparison found;
    while (found.samples() == 0 && absl::Now() < deadline) {
      ASSERT_TRUE(client->Predict(Request(variant)).ok());
      const auto status = client->GetStatus();
      ASSERT_TRUE(status.ok()) << status.status();
      for (const auto& row : status->models(0).shadows()) {
        if (row.variant() == variant) found = row;
      }
    }
    ASSERT_GT(found.samples(), 0) << variant;
    EXPECT_EQ(found.comparison().agreement(), expected.Get().agreement);
    EXPECT_NEAR(found.comparison().sqnr_db(), expected.Get().sqnr_db, 0.01);
  }
  EXPECT_THAT(run({"status"}), HasSubstr("answered"));
  EXPECT_THAT(testing::HttpGet(server.metrics_port()),
              ContainsRegex("quantserve_shadow_samples_total\\{[^}]*shadow="
                            "\"int8\",variant=\"fp32\"\\} [1-9]"));

  v1::QuantizeRequest hold;
  hold.set_hold(true);
  hold.set_samples(64);
  ASSERT_TRUE(client->Quantize(hold, nullptr).ok());
  const absl::Time deadline = absl::Now() + absl::Minutes(2);
  std::string status;
  while (absl::Now() < deadline) {
    ASSERT_TRUE(client->Predict(Request("int8")).ok());
    status = run({"status"});
    if (status.find("int8 candidate") != std::string::npos) break;
  }
  EXPECT_THAT(status, ContainsRegex("int8 +1 +int8 candidate +2 "));
}

TEST_F(OperationsTest, QuantctlSaysWhichOfSeveralModels) {
  TestModel several = model_;
  several.model.clear();
  std::string config;
  for (const char* name : {"first", "second"}) {
    absl::StrAppend(&config, "models { model: \"", model_.model,
                    "\" model_name: \"", name, "\" samples: 64 }\n");
  }
  ServerProcess server(
      several,
      {"--config=" + testing::WriteBytes("several.textproto", config)});
  server.AwaitReady();
  const auto run = [&](std::vector<std::string> words) {
    words.insert(words.begin(), absl::StrCat(QUANTSERVE_BIN_DIR, "/quantctl"));
    words.insert(words.end(), {"--server=" + server.target()});
    return RunProcess(words);
  };
  const std::string input = "--shard=" + model_.test;
  const Finished unnamed = run({"predict", input});
  EXPECT_EQ(unnamed.code, 2);
  EXPECT_THAT(unnamed.err, HasSubstr("--model is missing, the server has "
                                     "several: first, second"));
  EXPECT_EQ(run({"quantize", "--samples=32"}).code, 1);
  EXPECT_EQ(run({"predict", input, "--model=third"}).code, 1);
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"predict", input},
                                             {"quantize", "--samples=32"},
                                             {"evaluate", "--samples=8"},
                                             {"bench", "--requests=20"},
                                             {"compare", "--requests=20"},
                                             {"status"}}) {
    std::vector<std::string> named = words;
    named.emplace_back("--model=second");
    const Finished finished = run(named);
    EXPECT_EQ(finished.code, 0) << words[0] << ": " << finished.err;
  }
  // Only what was named was quantized again.
  const auto status = server.NewClient()->GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->models(0).variants(1).generation(), 1);
  EXPECT_EQ(status->models(1).variants(1).generation(), 2);
}

}  // namespace
}  // namespace quantserve
