// The real server with real models: what it answers, and that stops lose
// nothing.
#include <atomic>
#include <csignal>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/http_get.h"

namespace quantserve {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using testing::ServerProcess;
using testing::TestModel;

v1::PredictRequest MakeRequest(const TestModel& model,
                               const std::string& variant, int64_t first,
                               int64_t count) {
  v1::PredictRequest request;
  request.set_variant(variant);
  request.set_top_k(1);
  *request.add_inputs() = testing::ReadSamples(model.test, first, count);
  return request;
}

class ServingTest : public ::testing::TestWithParam<const TestModel& (*)()> {
 protected:
  void SetUp() override {
    if (GetParam()().name.empty()) {
      GTEST_SKIP() << "no shared folder with models";
    }
  }
  const TestModel& model() const { return GetParam()(); }

  v1::PredictRequest Request(const std::string& variant, int64_t first = 0,
                             int64_t count = 1) const {
    return MakeRequest(model(), variant, first, count);
  }
};

INSTANTIATE_TEST_SUITE_P(Models, ServingTest,
                         ::testing::Values(testing::SmallModel,
                                           testing::Resnet20),
                         [](const auto& info) {
                           return info.index == 0 ? "Small" : "Resnet20";
                         });

TEST_P(ServingTest, AnswersAreAsAccurateAsTheStatusSays) {
  ServerProcess server(model());
  server.AwaitReady();
  const auto client = server.NewClient();
  const auto status = client->GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  for (const v1::VariantStatus& variant : status->models(0).variants()) {
    ASSERT_TRUE(variant.ready()) << variant.unavailable_reason();
    const int64_t samples = variant.evaluation().samples();
    int64_t correct = 0;
    for (int64_t first = 0; first < samples; first += 8) {
      const int64_t count = std::min<int64_t>(8, samples - first);
      std::vector<int> labels;
      testing::ReadSamples(model().test, first, count, &labels);
      const auto response =
          client->Predict(Request(variant.name(), first, count));
      ASSERT_TRUE(response.ok()) << response.status();
      EXPECT_EQ(response->variant(), variant.name());
      for (int64_t i = 0; i < count; ++i) {
        correct += response->top_k(i).entries(0).index() == labels[i];
      }
    }
    // Raw pixels go the way of the shard's, batches the way of single samples;
    // rounding may differ between batch sizes, hardly ever enough to matter.
    EXPECT_NEAR(correct, variant.evaluation().correct(), 2) << variant.name();
  }
  const auto& int8 = status->models(0).variants(1);
  EXPECT_TRUE(int8.gate().passed());
  EXPECT_LT(int8.size_bytes(),
            status->models(0).variants(0).size_bytes() * 0.6);
}

// The numbers for ResNet-20.
TEST(Resnet20Test, Int8IsWithinTwoImagesOfFp32) {
  const TestModel& model = testing::Resnet20();
  if (model.name.empty()) GTEST_SKIP() << "no shared folder with models";
  ServerProcess server(model);
  server.AwaitReady();
  const auto status = server.NewClient()->GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  const v1::VariantStatus& fp32 = status->models(0).variants(0);
  const v1::VariantStatus& int8 = status->models(0).variants(1);
  EXPECT_EQ(fp32.evaluation().samples(), 512);
  EXPECT_NEAR(fp32.evaluation().accuracy(), 0.917, 0.02);
  EXPECT_LE(std::abs(fp32.evaluation().correct() - int8.evaluation().correct()),
            2);
  EXPECT_GE(int8.comparison().agreement(), 0.985);
  EXPECT_GE(int8.comparison().sqnr_db(), 28);
}

TEST_P(ServingTest, SigtermFinishesWhatIsInFlightAndExitsWithZero) {
  ServerProcess server(model());
  server.AwaitReady();
  std::atomic<int64_t> answered{0}, refused{0}, other{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&] {
      const auto client = server.NewClient();
      const v1::PredictRequest request = Request("fp32", 0, 8);
      while (true) {
        const auto response = client->Predict(request);
        if (response.ok()) {
          ++answered;
          continue;
        }
        // The server is going: a refusal, never a half-done call.
        if (absl::IsUnavailable(response.status())) {
          ++refused;
        } else {
          ++other;
          ADD_FAILURE() << response.status();
        }
        return;
      }
    });
  }
  while (answered < 50) std::this_thread::yield();
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(absl::Seconds(30)), 0)
      << server.process().err();
  for (std::thread& thread : clients) thread.join();
  EXPECT_EQ(refused, 8);
  EXPECT_EQ(other, 0);
  EXPECT_THAT(server.process().err(), HasSubstr("stopped"));
  EXPECT_THAT(server.process().err(), ::testing::Not(HasSubstr("unfinished")));
}

class SmallServerTest : public ::testing::Test {
 protected:
  v1::PredictRequest Request(const std::string& variant) const {
    return MakeRequest(model_, variant, 0, 1);
  }
  const TestModel& model_ = testing::SmallModel();
};

TEST_F(SmallServerTest, SigtermDuringTheStartEndsItWithZero) {
  ServerProcess server(model_);
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(absl::Seconds(60)), 0)
      << server.process().err();
}

TEST_F(SmallServerTest, SigintStopsAQuantizationToo) {
  ServerProcess server(model_);
  server.AwaitReady();
  const auto client = server.NewClient();
  std::atomic<bool> begun{false};
  absl::Status status;
  std::thread caller([&] {
    status =
        client->Quantize({}, [&begun](const v1::Progress&) { begun = true; })
            .status();
    begun = true;
  });
  while (!begun) std::this_thread::yield();
  server.process().Signal(SIGINT);
  EXPECT_EQ(server.process().Wait(absl::Seconds(30)), 0)
      << server.process().err();
  caller.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
}

// Without labels and with a gate that wants the very answers of FP32 on images
// that are nothing but noise.
TEST_F(SmallServerTest, ServesFp32WhereTheGateRefuses) {
  std::string noise;
  std::mt19937 random(1);
  for (int i = 0; i < 512 * 3072; ++i) {
    noise += static_cast<char>(random() & 0xff);
  }
  std::string header =
      "{'descr': '|u1', 'fortran_order': False, 'shape': (512, 3, 32, 32), }";
  header.resize(117, ' ');
  const std::string shard = testing::WriteBytes(
      "noise.npy",
      std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header + "\n" + noise);
  ServerProcess server(model_, {"--test_shard=" + shard, "--min_agreement=1",
                                "--samples=2", "--range_method=minmax"});
  server.AwaitReady();
  const auto status = server.NewClient()->GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  const v1::ModelStatus& model = status->models(0);
  EXPECT_FALSE(model.variants(1).ready());
  EXPECT_EQ(model.default_variant(), "fp32");
  EXPECT_THAT(model.variants(1).unavailable_reason(),
              HasSubstr("the gate refused"));
  EXPECT_THAT(server.process().err(), HasSubstr("/int8 is not being served"));
  EXPECT_THAT(
      testing::HttpGet(server.metrics_port()),
      ContainsRegex("quantserve_variant_ready\\{model=\"[^\"]+\",variant="
                    "\"int8\"\\} 0"));
  EXPECT_EQ(server.NewClient()->Predict(Request("int8")).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(server.NewClient()->Predict(Request(""))->variant(), "fp32");
  const auto again = server.NewClient()->Quantize({}, nullptr);
  EXPECT_EQ(again.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(again.status().message()),
              HasSubstr("the gate refused the new variant"));
}

}  // namespace
}  // namespace quantserve
