// Equalized plans compute what they computed before.
#include "quant/plan/passes/equalize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "quant/plan/reference.h"
#include "tests/testing/plan_builder.h"

namespace quantserve {
namespace {

using testing::PlanBuilder;
using testing::Relu;

std::vector<float> Output(const Plan& plan) {
  const auto inputs = testing::RandomInputs(plan, 2, 7);
  std::vector<float> out(2 * plan.value(plan.outputs[0]).elements());
  const absl::Status run =
      RunReference(plan, 2, {inputs[0].data()}, {out.data()});
  EXPECT_TRUE(run.ok()) << run;
  return out;
}

std::vector<float> Powers(int64_t count) {
  std::vector<float> factors;
  for (int64_t c = 0; c < count; ++c) {
    factors.push_back(std::ldexp(1.0f, static_cast<int>(c % 7) - 3));
  }
  return factors;
}

// Convolution, depthwise, pooling, grouped, flattened, linear.
Plan Chain() {
  PlanBuilder b(3);
  ValueId x = b.Input({1, 3, 8, 8});
  x = b.Conv(x, {8, 1, 1, 0}, Relu());
  x = b.Conv(x, {8, 3, 1, 1, 1, 8}, Relu());
  x = b.MaxPool(x, 2, 2, 0);
  x = b.Conv(x, {12, 1, 1, 0, 1, 2}, Relu());
  x = b.Flatten(b.GlobalAvgPool(x));
  x = b.Linear(x, 6, Relu());
  return b.Build({b.Linear(x, 5)});
}

TEST(EqualizeTest, KeepsTheFunctionOfEveryPair) {
  const Plan plan = Chain();
  const auto pairs = EqualizablePairs(plan);
  ASSERT_EQ(pairs.size(), 4u);
  std::vector<Equalization> equalizations;
  for (const LayerPair& pair : pairs) {
    equalizations.push_back({plan.nodes[pair.first].name,
                             plan.nodes[pair.second].name,
                             Powers(pair.channels)});
  }
  const auto equalized = Equalize(plan, equalizations);
  ASSERT_TRUE(equalized.ok()) << equalized.status();
  // Powers of two: not even a rounding differs.
  EXPECT_EQ(Output(*equalized), Output(plan));
  EXPECT_NE(OutputRanges(equalized->nodes[0]), OutputRanges(plan.nodes[0]));
}

TEST(EqualizeTest, ChainsEndWhereScaleDoesNotCommute) {
  PlanBuilder b(3);
  const ValueId x = b.Input({1, 4, 8, 8});
  const ValueId relu6 = b.Conv(x, {4, 1, 1, 0}, Clamp{0, 6});
  const ValueId unary = b.Unary(b.Conv(relu6, {4, 1, 1, 0}), "silu");
  const ValueId twice = b.Conv(unary, {4, 1, 1, 0}, Relu());  // has two readers
  const ValueId sum = b.Add(b.Conv(twice, {4, 1, 1, 0}), twice);
  const Plan plan = b.Build({b.Conv(sum, {4, 1, 1, 0})});
  EXPECT_TRUE(EqualizablePairs(plan).empty());
}

TEST(EqualizeTest, FactorsThatMakeNoSenseAreRefused) {
  const Plan plan = Chain();
  const std::string first = plan.nodes[0].name, second = plan.nodes[1].name;
  const auto refused = [&](std::vector<float> factors) {
    return Equalize(plan, {{first, second, std::move(factors)}})
               .status()
               .code() == absl::StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused({}));
  EXPECT_TRUE(refused(std::vector<float>(9, 1)));
  for (const float bad :
       {0.0f, -1.0f, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    std::vector<float> factors(8, 1);
    factors[5] = bad;
    EXPECT_TRUE(refused(factors)) << bad;
  }
  EXPECT_FALSE(refused(std::vector<float>(8, 1)));
}

TEST(EqualizeTest, WeightsThatAreSharedStayUntouchedElsewhere) {
  Plan plan = Chain();
  const auto before = OutputRanges(plan.nodes[0]);
  const auto equalized =
      Equalize(plan, {{plan.nodes[0].name, plan.nodes[1].name, Powers(8)}});
  ASSERT_TRUE(equalized.ok());
  EXPECT_EQ(OutputRanges(plan.nodes[0]), before);
}

TEST(EqualizeTest, RangesAreThoseOfEachChannel) {
  PlanBuilder b(3);
  const Plan plan =
      b.Build({b.Conv(b.Input({1, 4, 2, 2}), {2, 1, 1, 0, 1, 2})});
  const float* w = plan.nodes[0].weights.data->data<float>();  // [2, 2, 1, 1]
  EXPECT_THAT(InputRanges(plan.nodes[0]),
              ::testing::ElementsAre(std::fabs(w[0]), std::fabs(w[1]),
                                     std::fabs(w[2]), std::fabs(w[3])));
  EXPECT_THAT(
      OutputRanges(plan.nodes[0]),
      ::testing::ElementsAre(std::max(std::fabs(w[0]), std::fabs(w[1])),
                             std::max(std::fabs(w[2]), std::fabs(w[3]))));
}

}  // namespace
}  // namespace quantserve
