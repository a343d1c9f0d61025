// The host with its quantizer: what is published when, and what a failure
// leaves behind.
#include "server/core/model_host.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"
#include "server/core/scheduler.h"
#include "server/core/steady_clock.h"
#include "tests/testing/fake_model.h"

namespace quantserve {
namespace {

using testing::FakeControls;
using testing::GateSwitch;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ModelHostTest : public ::testing::Test {
 protected:
  ModelHostTest() {
    options_.model.path = "fake.pt";
    options_.model.name = "fake";
    options_.model.inputs = {{testing::FakeSampleShape()}};
    options_.quantization.shards = {
        {"calibration", testing::WriteFakeShard(40, "calibration.npy")},
        {"test", testing::WriteFakeShard(16, "test.npy")},
        {"gone", "/nowhere/gone.npy"}};
    options_.quantization.calibration_shard = "calibration";
    options_.quantization.test_shard = "test";
  }

  void MakeHost() {
    ModelHost::Deps deps;
    deps.pipeline = testing::MakeFakePipeline(controls_);
    deps.shards = std::make_unique<ShardStore>(options_.quantization.shards);
    deps.metrics = &metrics_;
    deps.jobs = &jobs_;
    deps.workers = 2;
    deps.int8_self_test = [this] { return self_test_; };
    deps.on_run = [this](const QuantizationRun&) { ++runs_seen_; };
    host_ = std::make_unique<ModelHost>(options_, std::move(deps));
  }

  // Runs a quantization to its end.
  std::shared_ptr<const QuantizationRun> Quantize(const std::string& shard = "",
                                                  bool dry_run = false) {
    auto spec = host_->MakeQuantizeSpec("", shard, 0, dry_run);
    EXPECT_TRUE(spec.ok()) << spec.status();
    GateSwitch done;
    done.Close();
    std::shared_ptr<const QuantizationRun> run;
    const auto job = host_->Quantize(*spec, nullptr, [&](auto finished) {
      run = finished;
      done.Open();
    });
    EXPECT_TRUE(job.ok()) << job.status();
    done.Pass();
    return run;
  }

  int64_t Int8Generation() {
    const auto variant = host_->registry().Get(VariantId::kInt8);
    return variant == nullptr ? 0 : variant->generation;
  }

  std::string Scrape() {
    return prometheus::TextSerializer().Serialize(
        metrics_.registry()->Collect());
  }

  std::shared_ptr<FakeControls> controls_ = std::make_shared<FakeControls>();
  ServedModelConfig options_;
  int runs_seen_ = 0;
  absl::Status self_test_;
  Metrics metrics_{{"1.2.3", "GNU 12", "1.13"}, CpuFeatures()};
  std::unique_ptr<ModelHost> host_;
  JobRunner jobs_{{}};  // first to go: its thread uses the host
};

TEST_F(ModelHostTest, TheStartLoadsAndQuantizeCalibrates) {
  MakeHost();
  ASSERT_TRUE(host_->StartUp().ok());
  EXPECT_EQ(host_->last_run()->report->artifact, kArtifactLoaded);
  EXPECT_EQ(runs_seen_, 1);  // who logs runs hears of the start's, too
  EXPECT_THAT(Scrape(), HasSubstr("quantserve_quantization_recipes_total{"
                                  "model=\"fake\",source=\"loaded\"} 1\n"));
  EXPECT_NE(Quantize()->report->artifact, kArtifactLoaded);
  EXPECT_THAT(Scrape(), HasSubstr("quantserve_quantization_recipes_total{"
                                  "model=\"fake\",source=\"calibrated\"} 1\n"));
}

TEST_F(ModelHostTest, StartsWithBothVariantsEvaluatedOnTheTestShard) {
  MakeHost();
  ASSERT_TRUE(host_->StartUp().ok());
  const auto fp32 = host_->registry().Get(VariantId::kFp32);
  const auto int8 = host_->registry().Get(VariantId::kInt8);
  ASSERT_NE(fp32, nullptr);
  ASSERT_NE(int8, nullptr);
  EXPECT_EQ(fp32->scores.evaluation.samples, 16);
  EXPECT_EQ(int8->scores.shard, "test");
  EXPECT_EQ(int8->scores.comparison->agreement, 1);
  EXPECT_TRUE(int8->scores.gate->passed);
  EXPECT_EQ(int8->generation, 1);
  EXPECT_EQ(int8->contexts.size(), 2);
  // Evaluations in memory would grow with every swap.
  EXPECT_TRUE(int8->scores.evaluation.outputs.empty());
  EXPECT_EQ(host_->last_run()->report->shard, "calibration");
}

TEST_F(ModelHostTest, EachQuantizationAddsAGeneration) {
  MakeHost();
  ASSERT_TRUE(host_->StartUp().ok());
  EXPECT_EQ(Quantize()->generation, 2);
  EXPECT_EQ(Quantize()->generation, 3);
  EXPECT_EQ(Int8Generation(), 3);
  EXPECT_THAT(
      Scrape(),
      HasSubstr(
          "quantserve_variant_generation{model=\"fake\",variant=\"int8\"} 3"));
}

TEST_F(ModelHostTest, ADryRunPublishesNothing) {
  MakeHost();
  ASSERT_TRUE(host_->StartUp().ok());
  const auto run = Quantize("", /*dry_run=*/true);
  EXPECT_TRUE(run->status.ok()) << run->status;
  EXPECT_FALSE(run->published);
  EXPECT_TRUE(run->gate->passed);
  EXPECT_EQ(Int8Generation(), 1);
}

TEST_F(ModelHostTest, ARefusedVariantLeavesTheOldOneServing) {
  MakeHost();
  ASSERT_TRUE(host_->StartUp().ok());
  controls_->wrong_int8 = true;
  const auto run = Quantize();
  EXPECT_EQ(run->status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(run->status.message()),
              StartsWith("the gate refused the new variant: "));
  EXPECT_FALSE(run->published);
  EXPECT_EQ(Int8Generation(), 1);
  EXPECT_TRUE(host_->registry().Find("int8").ok());
  EXPECT_THAT(Scrape(), HasSubstr("quantserve_quantization_runs_total{model="
                                  "\"fake\",result=\"refused\"} 1"));
}

TEST_F(ModelHostTest, AFailedQuantizationLeavesTheOldVariantServing) {
  MakeHost();
  ASSERT_TRUE(host_->StartUp().ok());
  controls_->fail_quantize = true;
  EXPECT_EQ(Quantize()->status.code(), absl::StatusCode::kInvalidArgument);
  controls_->fail_quantize = false;
  controls_->fail_context = true;
  EXPECT_EQ(Quantize()->status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(Int8Generation(), 1);
  EXPECT_THAT(Scrape(), HasSubstr("quantserve_quantization_runs_total{model="
                                  "\"fake\",result=\"failed\"} 2"));
  controls_->fail_context = false;
  EXPECT_EQ(Quantize()->generation, 2);
}

TEST_F(ModelHostTest, AMissingShardFileIsToldByNameWithoutItsPath) {
  MakeHost();
  ASSERT_TRUE(host_->StartUp().ok());
  const auto run = Quantize("gone");
  EXPECT_EQ(run->status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(run->status.message()), HasSubstr("shard gone"));
  EXPECT_THAT(std::string(run->status.message()),
              ::testing::Not(HasSubstr("/nowhere")));
}

TEST_F(ModelHostTest, ServesFp32AloneWhereTheGateRefusesAtTheStart) {
  controls_->wrong_int8 = true;
  MakeHost();
  ASSERT_TRUE(host_->StartUp().ok());
  EXPECT_EQ((*host_->registry().Find(""))->id, VariantId::kFp32);
  EXPECT_THAT(std::string(host_->registry().Find("int8").status().message()),
              HasSubstr("the gate refused"));
  controls_->wrong_int8 = false;
  EXPECT_EQ(Quantize()->generation, 1);
}

TEST_F(ModelHostTest, ServesFp32AloneWhereInt8CantBeTrusted) {
  self_test_ = absl::InternalError("products differ");
  MakeHost();
  ASSERT_TRUE(host_->StartUp().ok());
  EXPECT_THAT(std::string(host_->registry().Find("int8").status().message()),
              HasSubstr("can't be trusted on this machine: products differ"));
  EXPECT_TRUE(host_->registry().Find("fp32").ok());
}

TEST_F(ModelHostTest, ServesFp32AloneWithoutACalibrationShard) {
  options_.quantization.calibration_shard = "";
  MakeHost();
  ASSERT_TRUE(host_->StartUp().ok());
  EXPECT_EQ(host_->registry().Get(VariantId::kInt8), nullptr);
  EXPECT_EQ(host_->registry().Get(VariantId::kFp32)->scores.evaluation.samples,
            16);
  EXPECT_EQ(host_->MakeQuantizeSpec("", "", 0, false).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Quantize("calibration")->generation, 1);
}

TEST_F(ModelHostTest, JudgesOnAHeldOutPartWithoutATestShard) {
  options_.quantization.test_shard = "";
  MakeHost();
  ASSERT_TRUE(host_->StartUp().ok());
  const auto run = host_->last_run();
  EXPECT_EQ(run->report->samples, 30);
  EXPECT_EQ(run->int8->samples, 10);
  EXPECT_EQ(run->evaluated_on, "calibration");
}

TEST_F(ModelHostTest, FailsToStartWithoutFp32) {
  controls_->fail_float = true;
  MakeHost();
  EXPECT_EQ(host_->StartUp().code(), absl::StatusCode::kInternal);
}

TEST_F(ModelHostTest, CancellingChangesNothing) {
  MakeHost();
  ASSERT_TRUE(host_->StartUp().ok());
  controls_->quantizes.Close();
  GateSwitch done;
  done.Close();
  std::shared_ptr<const QuantizationRun> run;
  const auto job = host_->Quantize(*host_->MakeQuantizeSpec("", "", 0, false),
                                   nullptr, [&](auto finished) {
                                     run = finished;
                                     done.Open();
                                   });
  ASSERT_TRUE(job.ok());
  controls_->quantizes.AwaitWaiting(1);
  EXPECT_EQ(host_->running_job()->name, "quantize");
  EXPECT_EQ(host_
                ->Quantize(*host_->MakeQuantizeSpec("", "", 0, false), nullptr,
                           nullptr)
                .status()
                .code(),
            absl::StatusCode::kAborted);
  (*job)->Cancel();
  controls_->quantizes.Open();
  done.Pass();
  EXPECT_EQ(run->status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(Int8Generation(), 1);
}

TEST_F(ModelHostTest, StoppingDuringTheStartEndsIt) {
  controls_->quantizes.Close();
  MakeHost();
  std::thread stopper([this] {
    controls_->quantizes.AwaitWaiting(1);
    jobs_.Close();
    controls_->quantizes.Open();
  });
  EXPECT_EQ(host_->StartUp().code(), absl::StatusCode::kCancelled);
  stopper.join();
}

TEST_F(ModelHostTest, OldVariantsGoWhenNobodyHoldsThem) {
  MakeHost();
  ASSERT_TRUE(host_->StartUp().ok());
  for (int i = 0; i < 5; ++i) Quantize();
  while (controls_->engines > 2) std::this_thread::yield();
  EXPECT_EQ(controls_->engines, 2);
}

// Everything of the core at once, for ThreadSanitizer above all: clients take
// snapshots, workers pack and run them, and jobs swap them.
TEST_F(ModelHostTest, SwapsWhileClientsPredictLoseNoRequest) {
  MakeHost();
  ASSERT_TRUE(host_->StartUp().ok());
  Scheduler pool({/*workers=*/2, /*queue_capacity=*/64});
  struct Buffers {
    std::vector<uint8_t> input = std::vector<uint8_t>(2 * 12, 7);
    std::vector<float> output = std::vector<float>(2 * testing::kFakeOutputs);
  };
  const Preprocessing preprocessing;
  std::atomic<bool> stop{false};
  std::atomic<int64_t> taken{0}, answered{0};
  const auto predict = [&](int i) {
    const auto variant = host_->registry().Find(i % 3 == 0 ? "fp32" : "");
    ASSERT_TRUE(variant.ok()) << variant.status();
    auto buffers = std::make_shared<Buffers>();
    InferenceRequest request;
    request.variant = *variant;
    request.batch = 1 + i % 2;
    request.preprocessing = &preprocessing;
    request.inputs = {{DType::kU8, buffers->input.data()}};
    request.outputs = {buffers->output.data()};
    if (i % 4 == 0) request.ticket = pool.NewTicket();
    if (i % 5 == 0) request.deadline = SteadyNow() + absl::Milliseconds(1);
    const uint64_t ticket = request.ticket;
    const absl::Status status = pool.Submit(
        std::move(request),
        [buffers, &answered](const InferenceResult&) { ++answered; });
    if (status.ok()) ++taken;
    if (ticket != 0) pool.Cancel(ticket);
  };
  std::vector<std::thread> clients;
  for (int c = 0; c < 3; ++c) {
    clients.emplace_back([&] {
      for (int i = 0; !stop; ++i) predict(i);
    });
  }
  for (int i = 0; i < 10; ++i) Quantize();
  stop = true;
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(pool.Drain(absl::InfiniteDuration()));
  EXPECT_EQ(answered, taken);
  EXPECT_GT(taken, 0);
  EXPECT_EQ(Int8Generation(), 11);
  while (controls_->engines > 2) std::this_thread::yield();
}

TEST_F(ModelHostTest, EvaluatesAVariantAndComparesItWithFp32) {
  MakeHost();
  ASSERT_TRUE(host_->StartUp().ok());
  GateSwitch done;
  done.Close();
  absl::StatusOr<EvaluationOutcome> outcome;
  const auto spec = host_->MakeEvaluateSpec("int8", "calibration", 7);
  ASSERT_TRUE(spec.ok()) << spec.status();
  ASSERT_TRUE(host_
                  ->Evaluate(*spec, nullptr,
                             [&](auto finished) {
                               outcome = std::move(finished);
                               done.Open();
                             })
                  .ok());
  done.Pass();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->variant, "int8");
  EXPECT_EQ(outcome->evaluation.samples, 7);
  EXPECT_EQ(outcome->comparison->agreement, 1);
}

TEST_F(ModelHostTest, RefusesBadSpecs) {
  MakeHost();
  ASSERT_TRUE(host_->StartUp().ok());
  EXPECT_EQ(host_->MakeQuantizeSpec("median", "", 0, false).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(host_->MakeQuantizeSpec("", "", -1, false).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(host_->MakeQuantizeSpec("", "../etc", 0, false).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(host_->MakeEvaluateSpec("int4", "", 0).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(host_->MakeEvaluateSpec("", "", -3).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace quantserve
