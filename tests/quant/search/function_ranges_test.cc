// Ranges of values that only tables read.
#include "quant/search/function_ranges.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <random>

#include "absl/strings/str_cat.h"
#include "quant/plan/quantize_plan.h"
#include "quant/torch/torch.h"
#include "tests/testing/script_model.h"

namespace quantserve {
namespace {

constexpr int64_t kSamples = 64;

struct Calibrated {
  Plan plan;
  Calibration calibration;
  Recipe recipe;
};

Shard Noise() {
  Tensor samples(DType::kF32, {kSamples, 3, 8, 8});
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 4);
  for (float& x : samples.span<float>()) x = normal(random);
  return *Shard::Make("noise", std::move(samples), {});
}

Calibrated ImportAndCalibrate(const std::string& forward) {
  torch::manual_seed(3);
  testing::ScriptModel model;
  model.Conv("a", 8, 3, 3).Forward(forward);
  const std::string path =
      (std::filesystem::path(::testing::TempDir()) / "function_ranges.pt")
          .string();
  model.Save(path);
  Calibrated made;
  made.plan =
      *(*TorchModel::Load(path, int64_t{1} << 30))->Import({{{3, 8, 8}}});
  std::filesystem::remove(path);
  auto calibration = Calibrate(made.plan, Noise(), {}, {}, {});
  EXPECT_TRUE(calibration.ok()) << calibration.status();
  made.calibration = *std::move(calibration);
  made.recipe.ranges = made.calibration.Ranges({});
  return made;
}

// The mean squared error of silu(x) for x on the grid of `range`, x as the
// layer of the test below gives it.
double SiluError(const Range& range) {
  const QuantParams grid = ChooseQuantParams(range, false);
  std::mt19937 random(9);
  std::normal_distribution<double> normal(-8, 4);
  const auto silu = [](double x) { return x / (1 + std::exp(-x)); };
  constexpr int kCount = 20000;
  double sum = 0;
  for (int i = 0; i < kCount; ++i) {
    const double x = normal(random);
    const double q = std::clamp(
        std::nearbyint(x / grid.scale) + grid.zero_point, 0.0, 255.0);
    const double error = silu(x) - silu(grid.scale * (q - grid.zero_point));
    sum += error * error;
  }
  return sum / kCount;
}

TEST(FunctionRangesTest, SiluLosesLessWithoutTheStepsThatItThrowsAway) {
  const Calibrated made =
      ImportAndCalibrate("return torch.silu(self.a_apply(x, 1, 1) - 8.)");
  ASSERT_EQ(made.plan.nodes.size(), 2) << made.plan.DebugString();
  RangeMap fitted = made.recipe.ranges;
  EXPECT_EQ(FitRangesToFunctions(made.plan, made.calibration, &fitted), 1);
  const std::string& name = made.plan.nodes[0].name;
  const Range before = made.recipe.ranges.at(name).affine;
  const Range after = fitted.at(name).affine;
  EXPECT_LT(before.lo, -20);
  EXPECT_GT(after.lo, -12);
  EXPECT_LT(SiluError(after), 0.5 * SiluError(before));
}

TEST(FunctionRangesTest, AValueThatALayerReadsKeepsItsRange) {
  const Calibrated made = ImportAndCalibrate(
      "y = self.a_apply(x, 1, 1)\n"
      "return torch.silu(y) + y");
  Recipe fitted = made.recipe;
  EXPECT_EQ(FitRangesToFunctions(made.plan, made.calibration, &fitted.ranges),
            0);
}

}  // namespace
}  // namespace quantserve
