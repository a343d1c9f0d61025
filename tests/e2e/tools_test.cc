// The server seen by other programs: quantctl, a Python client, promtool,
// Prometheus itself.
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/server_process.h"
#include "tests/testing/http_get.h"

namespace quantserve {
namespace {

using testing::Finished;
using testing::HasProgram;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Process;
using testing::RunProcess;
using testing::ServerProcess;
using testing::WriteBytes;

class ToolsTest : public ::testing::Test {
 protected:
  ToolsTest() { server_.AwaitReady(); }

  Finished Ctl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(),
                     absl::StrCat(QUANTSERVE_BIN_DIR, "/quantctl"));
    arguments.push_back("--server=" + server_.target());
    return RunProcess(arguments);
  }

  const testing::TestModel& model_ = testing::SmallModel();
  ServerProcess server_{model_};
};

TEST_F(ToolsTest, QuantctlDoesWhatItsPagesSay) {
  const Finished predict =
      Ctl({"predict", "--shard=" + model_.test, "--index=3", "--variant=int8"});
  EXPECT_EQ(predict.code, 0) << predict.err;
  EXPECT_THAT(predict.out, HasSubstr("variant int8, generation 1"));
  EXPECT_THAT(predict.out, HasSubstr("true label"));

  const Finished json = Ctl({"predict", "--shard=" + model_.test,
                             "--variant=fp32", "--top_k=2", "--format=json"});
  const auto answer = nlohmann::json::parse(json.out);
  EXPECT_EQ(answer["variant"], "fp32");
  EXPECT_EQ(answer["samples"][0]["top_k"].size(), 2);

  const Finished dry = Ctl({"quantize", "--dry_run", "--samples=64",
                            "--range_method=minmax", "--layers"});
  EXPECT_EQ(dry.code, 0) << dry.err;
  EXPECT_THAT(dry.out, HasSubstr("dry run, not published"));
  EXPECT_THAT(dry.out, HasSubstr("Conv2d"));

  const Finished quantize = Ctl({"quantize", "--format=json"});
  EXPECT_EQ(nlohmann::json::parse(quantize.out)["generation"], "2");

  const Finished status = Ctl({"status"});
  EXPECT_THAT(status.out, HasSubstr("ready"));
  EXPECT_THAT(status.out, HasSubstr("default variant int8"));
  const Finished evaluate =
      Ctl({"evaluate", "--variant=int8", "--samples=100"});
  EXPECT_THAT(evaluate.out, HasSubstr("100 samples of test"));
  const Finished bench = Ctl({"bench", "--requests=200", "--clients=2"});
  EXPECT_EQ(bench.code, 0) << bench.err;
  const Finished sweep =
      Ctl({"bench", "--variant=fp32,int8", "--rate=50,100", "--window=100ms",
           "--warmup=50ms", "--max_windows=3", "--format=json"});
  EXPECT_EQ(sweep.code, 0) << sweep.err;
  const auto points = nlohmann::json::parse(sweep.out)["rows"];
  ASSERT_EQ(points.size(), 4);
  EXPECT_EQ(points[1]["variant"], "int8");
  EXPECT_EQ(points[1]["rate"], 50);
  EXPECT_EQ(points[2]["rate"], 100);
  EXPECT_GT(points[3]["requests"], 0);
  const Finished csv = Ctl(
      {"bench", "--requests=50", "--stream", "--variant=int8", "--format=csv"});
  EXPECT_EQ(csv.code, 0) << csv.err;
  EXPECT_THAT(csv.out, HasSubstr("\nint8,closed,1,,,1,stream,5,true,"));
  EXPECT_EQ(Ctl({"bench", "--requests=50", "--deadline=1m"}).code, 0);
  const Finished compare = Ctl({"compare", "--requests=200", "--format=json"});
  const auto rows = nlohmann::json::parse(compare.out)["rows"];
  EXPECT_EQ(rows[0]["variant"], "fp32");
  EXPECT_EQ(rows[1]["requests"], 200);
  EXPECT_EQ(Ctl({"wait"}).code, 0);
}

TEST_F(ToolsTest, QuantctlWritesTheReportThatTheServerSends) {
  const std::string page = testing::TempPath("report.html");
  const Finished good = Ctl({"quantize", "--dry_run", "--report=" + page});
  EXPECT_EQ(good.code, 0) << good.err;
  const std::string html = testing::ReadBytes(page);
  EXPECT_THAT(html.substr(0, 15), ::testing::StrCaseEq("<!doctype html>"));
  EXPECT_THAT(html, HasSubstr("Conv2d"));
  // Callers are told names, never the server's folders.
  EXPECT_THAT(html, Not(HasSubstr(model_.model)));

  // Not within the budget: a refusal, with the report of the best found.
  const std::string json = testing::TempPath("report.json");
  const Finished refused = Ctl({"quantize", "--min_sqnr_db=200", "--samples=64",
                                "--report=" + json, "--format=json"});
  EXPECT_EQ(refused.code, 1) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("FAILED_PRECONDITION: budget not reach"));
  const auto written = nlohmann::json::parse(testing::ReadBytes(json));
  EXPECT_EQ(written["quantization"]["budget"]["reached"], false);
  EXPECT_FALSE(written["quantization"]["layers"].empty());
  const auto shown = nlohmann::json::parse(refused.out);
  EXPECT_EQ(shown["report"]["budget"]["reached"], false);
  EXPECT_EQ(shown["report_html"], "");

  const Finished kept = Ctl({"quantize", "--min_sqnr_db=5", "--max_drop=1",
                             "--bias_correction=none", "--equalize=off"});
  EXPECT_EQ(kept.code, 0) << kept.err;
  EXPECT_THAT(kept.out, HasSubstr("budget kept: "));
  const auto status = server_.NewClient()->GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_LT(status->ByteSizeLong(), 1 << 18);

  const Finished nowhere =
      Ctl({"quantize", "--dry_run", "--report=/no/such/dir/r.html"});
  EXPECT_EQ(nowhere.code, 2);
  EXPECT_THAT(nowhere.err, HasSubstr("there is no folder /no/such/dir"));
}

TEST_F(ToolsTest, QuantctlTellsMistakesFromRefusals) {
  struct Case {
    std::vector<std::string> arguments;
    int code;
    const char* message;
  };
  const Case cases[] = {
      {{"frobnicate"}, 2, "quantctl: no command frobnicate"},
      {{"status", "--frob"}, 2, "quantctl status: unknown flag --frob"},
      {{"predict"}, 2, "no input: give --image, --shard or --raw"},
      {{"predict", "--image=/no/such.png"}, 2, "/no/such.png"},
      {{"predict", "--image=" + WriteBytes("no.png", "hello")}, 2, "no.png"},
      {{"bench", "--clients=0"}, 2, "--clients is 0"},
      {{"bench", "--rate=0"}, 2, "flag --rate is \"0\""},
      {{"bench", "--arrivals=uniform"}, 2, "want poisson or constant"},
      {{"bench", "--format=xml"}, 2, "want table, json or csv"},
      {{"bench", "--stream", "--deadline=1s"}, 2, "one of --deadline"},
      {{"bench", "--variant=int3"}, 1, "NOT_FOUND"},
      {{"status", "--format=xml"}, 2, "\"xml\", want table or json"},
      {{"predict", "--shard=" + model_.test, "--variant=int4"},
       1,
       "quantctl predict: NOT_FOUND: no variant is named \"int4\""},
      {{"quantize", "--range_method=median"},
       1,
       "quantctl quantize: INVALID_ARGUMENT: "},
      {{"quantize", "--report=r.pdf"}, 2, "flag --report is \"r.pdf\""},
      {{"evaluate", "--shard=none"}, 1, "NOT_FOUND: no shard is named"},
      {{"evaluate", "--timeout=1ms"}, 1, "DEADLINE_EXCEEDED"},
  };
  for (const Case& c : cases) {
    const Finished run = Ctl(c.arguments);
    EXPECT_EQ(run.code, c.code) << c.message << "\n" << run.err;
    EXPECT_THAT(run.err, HasSubstr(c.message));
    EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
  }
  const std::string quantctl = absl::StrCat(QUANTSERVE_BIN_DIR, "/quantctl");
  EXPECT_EQ(RunProcess({quantctl, "status", "--server=127.0.0.1:1"}).code, 1);
  EXPECT_EQ(RunProcess({quantctl}).code, 2);
  for (const char* command : {"predict", "quantize", "status", "evaluate",
                              "bench", "compare", "wait"}) {
    const Finished help = RunProcess({quantctl, command, "--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_THAT(help.out, HasSubstr("Usage: quantctl "));
    EXPECT_THAT(help.out, Not(HasSubstr("torch")));
  }
}

TEST(UsageTest, HelpIsAUsagePage) {
  const Finished help = RunProcess(
      {absl::StrCat(QUANTSERVE_BIN_DIR, "/quantserve_server"), "--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, HasSubstr("Usage: quantserve_server --model=FILE"));
  EXPECT_THAT(help.out, HasSubstr("--port (default 8001)"));
  EXPECT_EQ(help.err, "");
}

TEST_F(ToolsTest, PromtoolFindsNothingWrong) {
  ASSERT_TRUE(HasProgram("promtool")) << "see scripts/install_deps.sh";
  const auto client = server_.NewClient();
  v1::PredictRequest request;
  *request.add_inputs() = testing::ReadSamples(model_.test, 0, 1);
  EXPECT_TRUE(client->Predict(request).ok());
  EXPECT_FALSE(client->Predict({}).ok());
  EXPECT_TRUE(client->Quantize({}, nullptr).ok());
  const std::string answer = testing::HttpGet(server_.metrics_port());
  const std::string path =
      WriteBytes("scrape", answer.substr(answer.find("\r\n\r\n") + 4));
  const Finished checked =
      RunProcess({"sh", "-c", "promtool check metrics < " + path});
  EXPECT_EQ(checked.code, 0) << checked.err;
  EXPECT_EQ(checked.out + checked.err, "");
}

TEST_F(ToolsTest, PrometheusStoresBothVariantsAccuracy) {
  ASSERT_TRUE(HasProgram("prometheus")) << "see scripts/install_deps.sh";
  const std::string config =
      WriteBytes("prometheus.yml",
                 absl::StrCat("global: {scrape_interval: 200ms}\n"
                              "scrape_configs:\n"
                              "- job_name: quantserve\n"
                              "  static_configs: [{targets: ['127.0.0.1:",
                              server_.metrics_port(), "']}]\n"));
  // It takes no port 0: one that was free a moment ago has to do.
  const int port = testing::FreePort();
  Process prometheus({"prometheus", "--config.file=" + config,
                      "--storage.tsdb.path=" + testing::TempPath("tsdb"),
                      absl::StrCat("--web.listen-address=127.0.0.1:", port)});
  std::string answer;
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (absl::Now() < deadline && prometheus.running()) {
    answer = testing::HttpGet(
        port, "/api/v1/query?query=quantserve_variant_accuracy_ratio");
    if (answer.find("\"variant\":\"int8\"") != std::string::npos) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_THAT(answer, HasSubstr("\"variant\":\"int8\""));
  EXPECT_THAT(answer, HasSubstr("\"variant\":\"fp32\""));
  prometheus.Signal(SIGTERM);
  prometheus.Wait(absl::Seconds(30));
}

TEST_F(ToolsTest, APythonClientNeedsTheProtoFilesOnly) {
  const std::string python = "/usr/bin/python3";
  if (RunProcess({python, "-c", "import grpc, google.protobuf"}).code != 0 ||
      !HasProgram("grpc_python_plugin") || !HasProgram("protoc")) {
    FAIL() << "python3-grpcio or protobuf-compiler-grpc is not installed: see "
              "scripts/install_deps.sh";
  }
  const std::string source = QUANTSERVE_SOURCE_DIR;
  const Finished run =
      RunProcess({python, source + "/tests/e2e/foreign_client.py",
                  server_.target(), source + "/proto", model_.test});
  EXPECT_EQ(run.code, 0) << run.out << run.err;
  EXPECT_THAT(run.out, HasSubstr("all checks passed"));
}

}  // namespace
}  // namespace quantserve
