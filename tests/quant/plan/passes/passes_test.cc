// Each pass against the unchanged plan, run by the reference interpreter.
#include "quant/plan/passes/passes.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quant/plan/reference.h"
#include "tests/testing/plan_builder.h"

namespace quantserve::testing {
namespace {

using ::testing::ElementsAre;

std::vector<std::vector<float>> RunPlan(const Plan& plan, int64_t batch = 2) {
  const auto inputs = RandomInputs(plan, batch, 77);
  std::vector<const float*> in;
  for (const auto& input : inputs) in.push_back(input.data());
  std::vector<std::vector<float>> outputs;
  std::vector<float*> out;
  for (ValueId id : plan.outputs) {
    outputs.emplace_back(batch * plan.value(id).elements());
  }
  for (auto& output : outputs) out.push_back(output.data());
  const absl::Status status = RunReference(plan, batch, in, out);
  EXPECT_TRUE(status.ok()) << status << "\n" << plan.DebugString();
  return outputs;
}

double MaxDifference(const std::vector<float>& a, const std::vector<float>& b) {
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    most = std::max(most, std::abs(double{a[i]} - b[i]));
  }
  return most;
}

double MeanDifference(const std::vector<float>& a,
                      const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(double{a[i]} - b[i]);
  return sum / static_cast<double>(a.size());
}

int Count(const Plan& plan, OpKind kind) {
  return static_cast<int>(
      std::count_if(plan.nodes.begin(), plan.nodes.end(),
                    [kind](const Node& n) { return n.kind == kind; }));
}

struct TrimCase {
  int64_t size, kernel, stride, padding, dilation;
  Shape kept;  // rows and columns of the window that stay
};

class TrimPaddingTapsTest : public ::testing::TestWithParam<TrimCase> {};

TEST_P(TrimPaddingTapsTest, KeepsEveryNumber) {
  const TrimCase& c = GetParam();
  PlanBuilder b(6);
  const Plan plan =
      b.Build({b.Conv(b.Input({1, 3, c.size, c.size}),
                      {5, c.kernel, c.stride, c.padding, c.dilation})});
  for (const Plan& p : {plan, Quantized(plan)}) {
    const Plan trimmed = TrimPaddingTaps(p);
    ASSERT_TRUE(trimmed.Validate().ok()) << trimmed.Validate();
    EXPECT_EQ(RunPlan(trimmed), RunPlan(p));
    for (const Node& node : trimmed.nodes) {
      if (node.kind != OpKind::kConv2d) continue;
      const Shape& w = node.weights.data->shape();
      EXPECT_THAT((Shape{w[2], w[3]}), ::testing::ElementsAreArray(c.kept));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Windows, TrimPaddingTapsTest,
    ::testing::Values(TrimCase{1, 3, 1, 1, 1, {1, 1}},  // a 1x1 map
                      TrimCase{1, 7, 1, 3, 1, {1, 1}},
                      TrimCase{2, 3, 2, 1, 1, {2, 2}},  // to one pixel
                      TrimCase{2, 3, 1, 1, 1, {3, 3}},  // all taps are met
                      TrimCase{2, 5, 1, 2, 1, {3, 3}},
                      TrimCase{3, 3, 1, 4, 4, {1, 1}},  // dilated past it
                      TrimCase{4, 3, 3, 1, 1, {3, 3}},
                      TrimCase{8, 3, 2, 1, 1, {3, 3}},  // nothing to trim
                      TrimCase{5, 5, 4, 4, 1, {5, 5}},
                      TrimCase{4, 1, 2, 0, 1, {1, 1}},
                      TrimCase{3, 4, 7, 2, 1, {2, 2}}));

// A ResNet-18 on small images loses more than half of its weights.
TEST(TrimPaddingTapsTest, MoreThanHalvesResNet18OnSmallImages) {
  const Plan plan = RandomResNet18(32);
  const Plan trimmed = TrimPaddingTaps(plan);
  EXPECT_LT(trimmed.WeightBytes(), plan.WeightBytes() / 2);
  EXPECT_EQ(RunPlan(trimmed, 1), RunPlan(plan, 1));
}

TEST(TrimPaddingTapsTest, DropsPaddingThatNoWindowReaches) {
  PlanBuilder b(6);
  const Plan trimmed =
      TrimPaddingTaps(b.Build({b.Conv(b.Input({1, 3, 8, 8}), {4, 3, 2, 1})}));
  EXPECT_THAT(std::get<Conv2dAttrs>(trimmed.nodes[0].attrs).padding,
              ElementsAre(1, 1, 0, 0));
}

Plan Residual(std::optional<Clamp> inner) {
  PlanBuilder b(8);
  const ValueId x = b.Conv(b.Input({1, 3, 6, 6}), {8, 3, 1, 1}, Relu());
  return b.Build({b.Add(b.Conv(x, {8, 3, 1, 1}, inner), x, Relu())});
}

TEST(FuseResidualAddsTest, GivesTheProductASecondInput) {
  const Plan plan = Residual(std::nullopt);
  const Plan fused = FuseResidualAdds(plan);
  ASSERT_TRUE(fused.Validate().ok()) << fused.Validate();
  EXPECT_EQ(Count(fused, OpKind::kAdd), 0);
  EXPECT_EQ(fused.nodes.back().inputs.size(), 2u);
  EXPECT_TRUE(fused.nodes.back().clamp->IsRelu());
  EXPECT_LT(MaxDifference(RunPlan(fused)[0], RunPlan(plan)[0]), 1e-5);
}

// One rounding fewer, and no saturation in between.
TEST(FuseResidualAddsTest, ComesNearerToTheRealNumbersInBytes) {
  const Plan real = Residual(std::nullopt);
  const Plan plan = Quantized(real);
  const Plan fused = FuseResidualAdds(plan);
  ASSERT_TRUE(fused.Validate().ok()) << fused.Validate();
  ASSERT_EQ(Count(fused, OpKind::kAdd), 0);
  const auto want = RunPlan(real)[0];
  EXPECT_LT(MeanDifference(RunPlan(fused)[0], want),
            MeanDifference(RunPlan(plan)[0], want));
}

TEST(FuseResidualAddsTest, LeavesWhatItWouldChange) {
  // A clamp between product and addition.
  EXPECT_EQ(Count(FuseResidualAdds(Residual(Relu())), OpKind::kAdd), 1);
  PlanBuilder b(8);
  const ValueId x = b.Conv(b.Input({1, 3, 6, 6}), {8, 3, 1, 1});
  const ValueId mean = b.GlobalAvgPool(x);
  const ValueId y = b.Conv(x, {8, 1});
  // A product that something else reads, a broadcast, a sum of one value.
  const Plan plan =
      b.Build({b.Add(y, x), y, b.Add(b.Conv(x, {8, 1}), mean), b.Add(x, x)});
  const Plan fused = FuseResidualAdds(plan);
  EXPECT_EQ(Count(fused, OpKind::kAdd), 3);
}

// Of two products the one that does more work takes the other one's result,
// wherever the two stand in the plan.
TEST(FuseResidualAddsTest, SparesTheLargerProductARounding) {
  for (const bool larger_first : {false, true}) {
    PlanBuilder b(8);
    const ValueId x = b.Input({1, 8, 6, 6});
    ValueId large = -1, small = -1;
    if (larger_first) large = b.Conv(x, {8, 3, 1, 1});
    small = b.Conv(x, {8, 1});
    if (!larger_first) large = b.Conv(x, {8, 3, 1, 1});
    const Plan plan = b.Build({b.Add(small, large)});
    const Plan fused = FuseResidualAdds(plan);
    ASSERT_TRUE(fused.Validate().ok()) << fused.Validate();
    EXPECT_EQ(fused.nodes.back().weights.data->shape()[2], 3);
    EXPECT_LT(MaxDifference(RunPlan(fused)[0], RunPlan(plan)[0]), 1e-5);
  }
}

TEST(FuseDequantizeTest, LetsTheLastLayerWriteFp32) {
  PlanBuilder b(9);
  const Plan real =
      b.Build({b.Linear(b.Linear(b.Input({1, 12}), 16, Relu()), 5)});
  const Plan plan = Quantized(real, {8, 64, false});
  // The quantizer may do it by itself; then there is nothing left to fuse.
  const Plan fused = FuseDequantize(plan, {OpKind::kLinear});
  ASSERT_TRUE(fused.Validate().ok()) << fused.Validate();
  EXPECT_EQ(Count(fused, OpKind::kDequantize), 0);
  EXPECT_FALSE(fused.value(fused.nodes.back().outputs[0]).quant.has_value());
  const auto want = RunPlan(real, 64)[0];
  EXPECT_LE(MeanDifference(RunPlan(fused, 64)[0], want),
            MeanDifference(RunPlan(plan, 64)[0], want));
}

TEST(MakePaddingExplicitTest, KeepsEveryNumber) {
  PlanBuilder b(9);
  const ValueId x = b.Conv(b.Input({1, 3, 7, 7}), {6, 3, 2, 1});
  QuantizedForTest options;
  options.affine = true;
  const Plan plan = Quantized(b.Build({b.Conv(x, {4, 3, 1, 1})}), options);
  const Plan padded = MakePaddingExplicit(plan);
  ASSERT_TRUE(padded.Validate().ok()) << padded.Validate();
  EXPECT_EQ(Count(padded, OpKind::kPad), 2);
  EXPECT_EQ(RunPlan(padded), RunPlan(plan));
}

TEST(EmulateInFloatTest, IsWithinAStep) {
  const Plan plan = FuseResidualAdds(Quantized(Residual(std::nullopt)));
  std::set<std::string> names;
  for (const Node& node : plan.nodes) names.insert(node.name);
  const Plan emulated = EmulateInFloat(plan, names);
  ASSERT_TRUE(emulated.Validate().ok()) << emulated.Validate();
  for (const Node& node : emulated.nodes) {
    if (node.kind != OpKind::kConv2d) continue;
    EXPECT_FALSE(emulated.value(node.inputs[0]).quant.has_value());
  }
  const double step = plan.value(plan.nodes.back().inputs[0]).quant->scale;
  EXPECT_LT(MaxDifference(RunPlan(emulated)[0], RunPlan(plan)[0]), 1.01 * step);
}

TEST(HeldSignedTest, OnlyWhatNoProductReads) {
  PlanBuilder b(10);
  const ValueId x = b.Conv(b.Input({1, 3, 6, 6}), {8, 3, 1, 1}, Relu());
  // Two signed operands of an addition that stays one: another node reads both.
  const ValueId y = b.Conv(x, {8, 1});
  const ValueId z = b.Conv(b.MaxPool(y, 3, 1, 1), {8, 1});
  const Plan plan = Quantized(b.Build({b.Add(y, z), z}));
  const std::vector<bool> held = HeldSigned(plan);
  for (size_t i = 0; i < held.size(); ++i) {
    const Value& value = plan.values[i];
    if (!value.quant || value.quant->zero_point != 128) {
      EXPECT_FALSE(held[i]) << value.name;
    }
  }
  for (const Node& node : plan.nodes) {
    if (node.kind == OpKind::kConv2d) {
      EXPECT_FALSE(held[node.inputs[0]]);
    }
    // What a pool hands on to a product is not signed either.
    if (node.kind == OpKind::kMaxPool) {
      EXPECT_FALSE(held[node.inputs[0]]);
    }
  }
}

}  // namespace
}  // namespace quantserve::testing
