// No work done twice: what a restart of the real server finds of the start
// before it.
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/http_get.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ServerProcess;

class ArtifactTest : public ::testing::Test {
 protected:
  ArtifactTest()
      : directory_(testing::TempPath(absl::StrCat(
            ::testing::UnitTest::GetInstance()->current_test_info()->name(),
            ".artifacts"))) {}

  // What a start did, seen from outside.
  struct Start {
    absl::Duration until_ready;
    v1::QuantizeResult quantization;
    std::string log;
    std::string outputs;  // of INT8 on a sample

    std::vector<std::string> phases() const {
      std::vector<std::string> phases;
      for (const auto& phase : quantization.report().phases()) {
        phases.push_back(phase.phase());
      }
      return phases;
    }
    double seconds(const std::string& phase) const {
      double seconds = 0;
      for (const auto& p : quantization.report().phases()) {
        if (p.phase() != phase) continue;
        seconds = static_cast<double>(p.duration().seconds()) +
                  p.duration().nanos() * 1e-9;
      }
      return seconds;
    }
  };

  std::vector<std::string> Flags() const {
    return {"--artifact_dir=" + directory_};
  }

  Start RunOnce(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> flags = Flags();
    flags.insert(flags.end(), more.begin(), more.end());
    const absl::Time start = absl::Now();
    ServerProcess server(model_, flags);
    server.AwaitReady();
    Start seen;
    seen.until_ready = absl::Now() - start;
    const auto status = server.NewClient()->GetStatus();
    EXPECT_TRUE(status.ok()) << status.status();
    if (status.ok()) seen.quantization = status->models(0).last_quantization();
    v1::PredictRequest request;
    request.set_variant("int8");
    *request.add_inputs() = testing::ReadSamples(model_.test, 0, 1);
    const auto answer = server.NewClient()->Predict(request);
    EXPECT_TRUE(answer.ok()) << answer.status();
    if (answer.ok()) seen.outputs = answer->outputs(0).data();
    server.process().Signal(SIGTERM);
    EXPECT_EQ(server.process().Wait(absl::Seconds(30)), 0);
    seen.log = server.process().err();
    return seen;
  }

  std::vector<std::string> Kept() const {
    std::vector<std::string> files;
    std::error_code error;  // it may not be there yet
    for (const auto& file : fs::directory_iterator(directory_, error)) {
      if (file.path().extension() != ".json") continue;  // a killed writer's
      files.push_back(file.path().string());
    }
    return files;
  }

  const testing::TestModel& model_ = testing::SmallModel();
  const std::string directory_;
};

TEST_F(ArtifactTest, ARestartLoadsInsteadOfCalibrating) {
  const Start first = RunOnce();
  EXPECT_THAT(first.log, HasSubstr("calibrated: no artifact is kept yet"));
  EXPECT_THAT(first.phases(), Contains("calibrate"));
  ASSERT_EQ(Kept().size(), 1u);

  const Start second = RunOnce();
  EXPECT_THAT(second.log, HasSubstr("loaded, nothing calibrated"));
  EXPECT_THAT(second.log, Not(HasSubstr(": ranges ")));
  EXPECT_THAT(second.phases(), Not(Contains("calibrate")));
  EXPECT_THAT(second.phases(), Contains("load"));
  EXPECT_EQ(second.quantization.report().artifact(), "loaded");
  EXPECT_EQ(second.quantization.report().digest(),
            first.quantization.report().digest());
  EXPECT_EQ(second.quantization.report().layers_size(),
            first.quantization.report().layers_size());
  EXPECT_TRUE(second.quantization.gate().passed());
  EXPECT_EQ(second.outputs, first.outputs);
  for (const auto& [name, start] :
       {std::pair<const char*, const Start*>{"first start", &first},
        {"restart", &second}}) {
    std::printf("%-12s ready after %6.2f s:", name,
                absl::ToDoubleSeconds(start->until_ready));
    for (const std::string& phase : start->phases()) {
      std::printf(" %s %.3f", phase.c_str(), start->seconds(phase));
    }
    std::printf("\n");
  }
}

TEST_F(ArtifactTest, AnyDifferenceIsCalibratedAndTheReasonLogged) {
  RunOnce();
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"--samples=64"}, "calibrated: calibration.samples is 64, was 512"},
      {{"--samples=64", "--range_method=minmax"},
       "calibrated: calibration.range_method is minmax, was mse"},
      {{"--samples=64", "--mean=0.4", "--range_method=minmax"},
       "calibrated: preprocessing.mean is 0.4, was 0.5"}};
  for (const auto& [flags, reason] : cases) {
    const Start start = RunOnce(flags);
    EXPECT_THAT(start.log, HasSubstr(reason));
    EXPECT_THAT(start.phases(), Contains("calibrate"));
  }
  EXPECT_EQ(Kept().size(), 4u);
  EXPECT_THAT(RunOnce().log, HasSubstr("loaded, nothing calibrated"));
}

TEST_F(ArtifactTest, ADamagedArtifactIsReplaced) {
  RunOnce();
  const std::string file = Kept().at(0);
  const std::string whole = testing::ReadBytes(file);
  fs::resize_file(file, whole.size() / 2);
  EXPECT_THAT(RunOnce().log,
              HasSubstr("calibrated: " + fs::path(file).filename().string() +
                        ": is truncated"));
  EXPECT_THAT(RunOnce().log, HasSubstr("loaded, nothing calibrated"));
}

TEST_F(ArtifactTest, WhereNothingCanBeKeptTheServerServes) {
  const Start start = RunOnce({"--artifact_dir=/proc/no/such"});
  EXPECT_THAT(start.log, HasSubstr("the artifact could not be kept: "));
  EXPECT_TRUE(start.quantization.published());
}

TEST_F(ArtifactTest, QuantizeCalibratesUnlessItIsToldOtherwise) {
  ServerProcess server(model_, Flags());
  server.AwaitReady();
  const auto client = server.NewClient();
  v1::QuantizeRequest request;
  const auto anew = client->Quantize(request, nullptr);
  ASSERT_TRUE(anew.ok()) << anew.status();
  EXPECT_EQ(anew->report().artifact(), "it was asked for anew");
  request.set_reuse_artifact(true);
  const auto reused = client->Quantize(request, nullptr);
  ASSERT_TRUE(reused.ok()) << reused.status();
  EXPECT_EQ(reused->report().artifact(), "loaded");
  EXPECT_EQ(reused->report().digest(), anew->report().digest());
  EXPECT_EQ(reused->generation(), 3);
  const std::string metrics = testing::HttpGet(server.metrics_port());
  EXPECT_THAT(metrics, HasSubstr("source=\"calibrated\"} 2"));
  EXPECT_THAT(metrics, HasSubstr("source=\"loaded\"} 1"));
}

// Killed at any moment of its start, again and again: a later start finds a
// whole artifact or none.
TEST_F(ArtifactTest, AKilledServerLeavesNoHalfArtifact) {
  // From the first look for an artifact to its being there; zero if that does
  // not come.
  const auto await_kept = [&](ServerProcess* server, absl::Duration timeout) {
    const absl::Time deadline = absl::Now() + absl::Minutes(1);
    while (!absl::StrContains(server->process().err(), ": load ") &&
           absl::Now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    const absl::Time begun = absl::Now();
    EXPECT_LT(begun, deadline) << server->process().err();
    while (Kept().empty() && absl::Now() < begun + timeout) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return Kept().empty() ? absl::ZeroDuration() : absl::Now() - begun;
  };
  absl::Duration whole;
  {
    ServerProcess server(model_, Flags());
    whole = await_kept(&server, absl::Minutes(1));
  }
  ASSERT_GT(whole, absl::ZeroDuration());
  fs::remove_all(directory_);
  // The last kills are about where it is written.
  constexpr int kRounds = 10;
  for (int round = 1; round <= kRounds; ++round) {
    ServerProcess server(model_, Flags());
    await_kept(&server, whole * round / (kRounds - 1));
    server.process().Signal(SIGKILL);
    server.process().Wait(absl::Seconds(10));
  }
  const Start start = RunOnce();
  EXPECT_THAT(start.log, ::testing::AnyOf(
                             HasSubstr("loaded, nothing calibrated"),
                             HasSubstr("calibrated: no artifact is kept yet")));
  EXPECT_THAT(RunOnce().log, HasSubstr("loaded, nothing calibrated"));
  EXPECT_EQ(Kept().size(), 1u);
}

}  // namespace
}  // namespace quantserve
