#include "server/core/metrics.h"

#include <memory>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"
#include "server/core/metrics_listener.h"
#include "server/core/process_metrics.h"
#include "tests/testing/fake_model.h"
#include "tests/testing/http_get.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Text(const Metrics& metrics) {
  return prometheus::TextSerializer().Serialize(metrics.registry()->Collect());
}

CpuFeatures SomeCpu() {
  CpuFeatures cpu;
  cpu.model = "Some CPU";
  cpu.cores = 4;
  cpu.vnni = true;
  return cpu;
}

TEST(MetricsTest, CountsCallsByRpcVariantAndCode) {
  Metrics metrics({"1.2.3", "GNU 12", "1.13"}, SomeCpu());
  RpcMetrics& rpcs = metrics.ForModel("m").rpcs();
  rpcs.Record(Rpc::kPredict, static_cast<int>(VariantId::kInt8),
              absl::StatusCode::kOk, absl::Milliseconds(2));
  rpcs.Record(Rpc::kPredict, kNoVariant, absl::StatusCode::kInvalidArgument,
              absl::Milliseconds(1));
  metrics.rpcs_without_model().Record(
      Rpc::kQuantize, kNoVariant, absl::StatusCode::kAborted, absl::Seconds(3));
  const std::string text = Text(metrics);
  EXPECT_THAT(text, HasSubstr("quantserve_requests_total{code=\"OK\",model="
                              "\"m\",rpc=\"Predict\",variant=\"int8\"} 1"));
  EXPECT_THAT(text,
              HasSubstr("quantserve_requests_total{code=\"INVALID_ARGUMENT\","
                        "model=\"m\",rpc=\"Predict\",variant=\"none\"} 1"));
  EXPECT_THAT(text,
              HasSubstr("quantserve_request_duration_seconds_sum{code="
                        "\"ABORTED\",model=\"none\",rpc=\"Quantize\",variant="
                        "\"none\"} 3"));
}

TEST(MetricsTest, TellsFactsAboutBuildAndProcessor) {
  Metrics metrics({"1.2.3", "GNU 12", "1.13"}, SomeCpu());
  EXPECT_THAT(Text(metrics),
              HasSubstr("quantserve_build_info{compiler=\"GNU 12\",libtorch="
                        "\"1.13\",version=\"1.2.3\"} 1"));
  EXPECT_THAT(Text(metrics), HasSubstr("model=\"Some CPU\",vnni=\"true\"} 1"));
}

TEST(MetricsTest, ShowsWhatTheGateAsks) {
  Metrics metrics({"1", "2", "3"}, SomeCpu());
  GateOptions gate;
  gate.max_accuracy_drop = 0.25;
  gate.min_agreement = 0.5;
  gate.min_sqnr_db = 30;
  metrics.ForModel("m").SetGate(gate);
  const std::string text = Text(metrics);
  EXPECT_THAT(text, HasSubstr("quantserve_gate_max_accuracy_drop_ratio{model="
                              "\"m\"} 0.25"));
  EXPECT_THAT(
      text, HasSubstr("quantserve_gate_min_agreement_ratio{model=\"m\"} 0.5"));
  EXPECT_THAT(text,
              HasSubstr("quantserve_gate_min_sqnr_decibels{model=\"m\"} 30"));
}

TEST(MetricsTest, CountsAWorkersTimeOnceForTheWholeBatch) {
  Metrics metrics({"1", "2", "3"}, SomeCpu());
  ModelMetrics& model = metrics.ForModel("m");
  model.RecordBatch(VariantId::kInt8, 4, 0, absl::Milliseconds(500));
  model.RecordBatch(VariantId::kInt8, 1, 0, absl::Milliseconds(250));
  EXPECT_THAT(Text(metrics),
              HasSubstr("quantserve_worker_seconds_total{model=\"m\",variant="
                        "\"int8\"} 0.75"));
}

TEST(MetricsTest, ShowsAccuracyOnlyWhereThereIsOne) {
  Metrics metrics({"1", "2", "3"}, SomeCpu());
  auto controls = std::make_shared<testing::FakeControls>();
  ServedVariant variant;
  variant.id = VariantId::kInt8;
  variant.compiled.engine = testing::MakeFakeEngine("int8", controls);
  variant.scores.evaluation.samples = 10;
  variant.scores.evaluation.accuracy = 0.5;
  metrics.ForModel("m").SetVariant(variant);
  EXPECT_THAT(Text(metrics), HasSubstr("quantserve_variant_accuracy_ratio{"
                                       "model=\"m\",variant=\"int8\"} 0.5"));
  variant.scores.evaluation.accuracy.reset();
  variant.generation = 2;
  metrics.ForModel("m").SetVariant(variant);
  EXPECT_THAT(Text(metrics),
              Not(HasSubstr("quantserve_variant_accuracy_ratio{")));
  EXPECT_THAT(
      Text(metrics),
      HasSubstr(
          "quantserve_variant_generation{model=\"m\",variant=\"int8\"} 2"));
}

TEST(MetricsTest, TellsModelsApart) {
  Metrics metrics({"1", "2", "3"}, SomeCpu());
  metrics.ForModel("a").RecordQuantization(RunResult::kPublished, nullptr);
  metrics.ForModel("b").RecordQuantization(RunResult::kRefused, nullptr);
  EXPECT_EQ(&metrics.ForModel("a"), &metrics.ForModel("a"));
  const std::string text = Text(metrics);
  for (const char* line : {"model=\"a\",result=\"published\"} 1\n",
                           "model=\"b\",result=\"published\"} 0\n",
                           "model=\"b\",result=\"refused\"} 1\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  // One family, however many models: its help is there once.
  const std::string help = "# HELP quantserve_quantization_runs_total";
  EXPECT_EQ(text.find(help), text.rfind(help));
}

TEST(MetricsTest, RecordsFromManyThreads) {
  Metrics metrics({"1", "2", "3"}, SomeCpu());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&metrics] {
      ModelMetrics& model = metrics.ForModel("m");
      for (int i = 0; i < 1000; ++i) {
        model.rpcs().Record(Rpc::kEvaluate, 0,
                            static_cast<absl::StatusCode>(i % 17),
                            absl::Milliseconds(1));
        model.RecordInference(VariantId::kFp32, 1, {}, {});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(
      Text(metrics),
      HasSubstr("quantserve_samples_total{model=\"m\",variant=\"fp32\"} 4000"));
}

TEST(ProcessMetricsTest, TellsMemoryAndTime) {
  ProcessMetrics process([] { return 7; });
  const std::string text =
      prometheus::TextSerializer().Serialize(process.Collect());
  const auto value = [&text](const std::string& name) {
    std::smatch match;
    return std::regex_search(text, match, std::regex("\n" + name + " (\\S+)"))
               ? std::stod(match[1])
               : -1;
  };
  EXPECT_GT(value("process_resident_memory_bytes"), 1e6);
  EXPECT_GE(value("quantserve_peak_resident_memory_bytes"), 1e6);
  EXPECT_GE(value("quantserve_private_memory_bytes"), 1e6);
  EXPECT_GE(value("process_cpu_seconds_total"), 0);
  EXPECT_GT(value("process_start_time_seconds"), 1.5e9);
  EXPECT_GT(value("process_open_fds"), 2);
  EXPECT_EQ(value("quantserve_queue_depth"), 7);
}

TEST(MetricsListenerTest, ServesTheMetricsOnAFreePort) {
  Metrics metrics({"1.2.3", "GNU 12", "1.13"}, SomeCpu());
  const auto listener =
      MetricsListener::Start("127.0.0.1", 0, {metrics.registry()});
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_GT((*listener)->port(), 0);
  const std::string answer = testing::HttpGet((*listener)->port());
  EXPECT_THAT(answer, HasSubstr("200 OK"));
  EXPECT_THAT(answer, HasSubstr("version=\"1.2.3\""));
}

TEST(MetricsListenerTest, SaysThatAPortIsInUse) {
  const auto first = MetricsListener::Start("127.0.0.1", 0, {});
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = MetricsListener::Start("127.0.0.1", (*first)->port(), {});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr("the port is in use"));
}

TEST(MetricsListenerTest, WritesIpv6AddressesInBrackets) {
  EXPECT_EQ(HostPort("127.0.0.1", 80), "127.0.0.1:80");
  EXPECT_EQ(HostPort("::1", 80), "[::1]:80");
  EXPECT_EQ(HostPort("[::1]", 80), "[::1]:80");
}

}  // namespace
}  // namespace quantserve
