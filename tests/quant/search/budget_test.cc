// An accuracy budget is kept, or the caller learns that it cannot be.
#include "quant/search/budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "quant/pipeline/pipeline.h"
#include "quant/report/budget_status.h"
#include "tests/quant/search/scaled_net.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::ScaledNet;
using testing::ScaledNetShard;

class BudgetTest : public ::testing::Test {
 protected:
  BudgetTest()
      : path_((fs::path(::testing::TempDir()) /
               absl::StrCat("budget_test.", getpid(), ".pt"))
                  .string()) {
    ScaledNet(50).Save(path_);
    ModelOptions model;
    model.path = path_;
    model.inputs = {{{3, testing::kScaledSize, testing::kScaledSize}}};
    model.engine.ladder = {1};
    model.engine_choice = EngineChoice::kTorchScript;
    auto pipeline = OpenModel(model);
    EXPECT_TRUE(pipeline.ok()) << pipeline.status();
    pipeline_ = *std::move(pipeline);
  }
  ~BudgetTest() override { fs::remove(path_); }

  QuantizationReport Quantize(const QuantizeOptions& options) {
    auto result = pipeline_->Quantize(options, shard_, {});
    EXPECT_TRUE(result.ok()) << result.status();
    return std::move(result->report);
  }
  static std::vector<std::string> Restored(const QuantizationReport& report) {
    std::vector<std::string> names;
    for (const LayerReport& layer : report.layers) {
      if (!layer.quantized) names.push_back(layer.name);
    }
    return names;
  }

  const std::string path_;
  std::unique_ptr<ModelPipeline> pipeline_;
  const Shard shard_ = ScaledNetShard(512);
};

TEST_F(BudgetTest, LayersGoBackUntilItHolds) {
  QuantizeOptions options;
  options.equalize = EqualizeMode::kOff;
  options.max_drop = 0.01;
  const QuantizationReport report = Quantize(options);
  // Plain INT8 is beyond it.
  ASSERT_FALSE(report.trials.empty());
  EXPECT_LT(report.trials[0].agreement, 0.99);
  ASSERT_TRUE(report.budget);
  EXPECT_TRUE(report.budget->reached) << report.budget->achieved;
  EXPECT_EQ(report.budget->wanted, "disagreement with FP32 at most 0.0100");
  EXPECT_THAT(report.budget->achieved, HasSubstr("in FP32"));
  EXPECT_TRUE(BudgetStatus(report).ok());
  // The culprits are the layers on both sides of the scaled channels.
  const auto restored = Restored(report);
  ASSERT_FALSE(restored.empty());
  EXPECT_LT(restored.size(), 4u);
  for (const std::string& name : restored) {
    EXPECT_TRUE(name == report.layers[0].name || name == report.layers[1].name)
        << name;
  }
  for (const LayerReport& layer : report.layers) {
    if (layer.quantized) continue;
    EXPECT_EQ(layer.reason, "restored for the accuracy budget");
  }
  EXPECT_THAT(report.trials.back().what, HasSubstr("in FP32"));
  EXPECT_LT(report.int8_macs_share, 1);
}

TEST_F(BudgetTest, EqualizationMakesThatUnnecessary) {
  QuantizeOptions options;
  options.max_drop = 0.01;
  const QuantizationReport report = Quantize(options);
  ASSERT_TRUE(report.budget);
  EXPECT_TRUE(report.budget->reached) << report.budget->achieved;
  EXPECT_TRUE(Restored(report).empty());
  EXPECT_EQ(report.int8_macs_share, 1);
}

TEST_F(BudgetTest, OneThatOnlyFp32HoldsIsNotReachable) {
  QuantizeOptions options;
  options.min_sqnr_db = 200;
  const QuantizationReport report = Quantize(options);
  ASSERT_TRUE(report.budget);
  EXPECT_FALSE(report.budget->reached);
  const absl::Status status = BudgetStatus(report);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              ::testing::AllOf(HasSubstr("budget not reachable"),
                               HasSubstr("200.0 dB")));
  // The best found still has an INT8 layer.
  EXPECT_GT(report.int8_macs_share, 0);
}

TEST_F(BudgetTest, SpeedIsPartOfIt) {
  QuantizeOptions options;
  options.min_speedup = 1e6;
  const QuantizationReport report = Quantize(options);
  ASSERT_TRUE(report.budget);
  EXPECT_FALSE(report.budget->reached);
  EXPECT_THAT(report.budget->achieved, HasSubstr("times as fast"));
  options.min_speedup = 1e-6;
  EXPECT_TRUE(Quantize(options).budget->reached);
}

TEST_F(BudgetTest, KeptLayersStayFloat) {
  QuantizeOptions options;
  options.keep_fp32 = {Quantize({}).layers[2].name};
  const QuantizationReport report = Quantize(options);
  EXPECT_FALSE(report.layers[2].quantized);
  EXPECT_EQ(report.layers[2].reason, "asked for");
}

TEST(CheckBudgetTest, ContradictionsAreNamed) {
  AccuracyBudget budget;
  budget.max_drop = 0.01;
  EXPECT_TRUE(CheckBudget(budget, false).ok());
  EXPECT_THAT(std::string(CheckBudget(budget, true).message()),
              ::testing::AllOf(HasSubstr("max_drop"), HasSubstr("single")));
  for (const double bad : {-0.1, 1.5, std::nan("")}) {
    budget.max_drop = bad;
    EXPECT_EQ(CheckBudget(budget, false).code(),
              absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace quantserve
