// Validation and clean-up of plans.
#include "quant/plan/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quant/plan/fuse.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;

std::shared_ptr<const Tensor> Zeros(Shape shape) {
  return std::make_shared<const Tensor>(DType::kF32, std::move(shape));
}

// x [1,3,8,8] -> conv 3x3 -> y [1,4,8,8] -> ReLU -> z.
Plan ConvRelu() {
  Plan plan;
  const ValueId x = plan.AddValue("x", {1, 3, 8, 8});
  const ValueId y = plan.AddValue("y", {1, 4, 8, 8});
  const ValueId z = plan.AddValue("z", {1, 4, 8, 8});
  Node conv;
  conv.kind = OpKind::kConv2d;
  conv.name = "y";
  conv.inputs = {x};
  conv.outputs = {y};
  conv.attrs = Conv2dAttrs{{1, 1}, {1, 1}, {1, 1, 1, 1}, 1};
  conv.weights.data = Zeros({4, 3, 3, 3});
  Node relu;
  relu.kind = OpKind::kClamp;
  relu.name = "z";
  relu.inputs = {y};
  relu.outputs = {z};
  relu.clamp = Clamp{};
  plan.nodes = {conv, relu};
  plan.inputs = {x};
  plan.outputs = {z};
  return plan;
}

TEST(PlanTest, WellFormedPlanIsValid) {
  EXPECT_TRUE(ConvRelu().Validate().ok()) << ConvRelu().Validate();
}

TEST(PlanTest, CountsWhatAConvolutionMultiplies) {
  EXPECT_EQ(ConvRelu().Macs(), 4 * 8 * 8 * 3 * 3 * 3);
  EXPECT_EQ(ConvRelu().WeightBytes(), 4 * 3 * 3 * 3 * 4);
}

struct Breakage {
  std::string name;
  std::function<void(Plan*)> apply;
  std::string message;
};

void PrintTo(const Breakage& b, std::ostream* out) { *out << b.name; }

class BrokenPlanTest : public ::testing::TestWithParam<Breakage> {};

TEST_P(BrokenPlanTest, IsRefusedWithTheNodesName) {
  Plan plan = ConvRelu();
  GetParam().apply(&plan);
  const absl::Status status = plan.Validate();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message));
}

const Breakage kBreakages[] = {
    {"NodesOutOfOrder", [](Plan* p) { std::swap(p->nodes[0], p->nodes[1]); },
     "before it is written"},
    {"ValueWrittenTwice", [](Plan* p) { p->nodes[1].outputs = {1}; },
     "writes one twice"},
    {"UnknownValue", [](Plan* p) { p->nodes[1].inputs = {17}; }, "\"z\""},
    {"OutputNobodyWrites",
     [](Plan* p) {
       p->outputs = {p->AddValue("w", {1, 2})};
     },
     "bad output"},
    {"OutputSizeThatDoesNotFollow",
     [](Plan* p) {
       p->values[1].shape = p->values[2].shape = {1, 4, 9, 8};
     },
     "output size that does not follow"},
    {"ZeroStride",
     [](Plan* p) {
       std::get<Conv2dAttrs>(p->nodes[0].attrs).stride = {0, 1};
     },
     "bad stride"},
    {"GroupsThatDoNotDivide",
     [](Plan* p) { std::get<Conv2dAttrs>(p->nodes[0].attrs).groups = 2; },
     "channels that do not match"},
    {"MissingWeights", [](Plan* p) { p->nodes[0].weights.data = nullptr; },
     "weights of a wrong shape"},
    {"ShortBias", [](Plan* p) { p->nodes[0].weights.bias = {1.0f}; },
     "wrong bias"},
    {"QuantizedInTheMiddle",
     [](Plan* p) {
       p->values[1].quant = QuantParams{0.1f, 0};
     },
     "mixes 8-bit and FP32"},
    {"ScaleOfZero",
     [](Plan* p) {
       p->values[1].quant = QuantParams{0.0f, 0};
     },
     "bad 8-bit grid"},
    {"MissingClamp", [](Plan* p) { p->nodes[1].clamp.reset(); },
     "has no clamp"},
    {"EmptyDimension",
     [](Plan* p) {
       p->values[2].shape = {1, 0};
     },
     "has shape [1,0]"},
    {"WrongAttributes", [](Plan* p) { p->nodes[0].attrs = PoolAttrs{}; },
     "needs [N,C,H,W]"},
};

INSTANTIATE_TEST_SUITE_P(Plans, BrokenPlanTest, ::testing::ValuesIn(kBreakages),
                         [](const ::testing::TestParamInfo<Breakage>& b) {
                           return b.param.name;
                         });

TEST(FuseClampsTest, ClampMovesIntoTheLayerBeforeIt) {
  Plan plan = ConvRelu();
  FuseClamps(&plan);
  RemoveUnread(&plan);
  ASSERT_EQ(plan.nodes.size(), 1u);
  EXPECT_TRUE(plan.nodes[0].clamp->IsRelu());
  EXPECT_EQ(plan.nodes[0].name, "y");
  EXPECT_EQ(plan.value(plan.nodes[0].outputs[0]).name, "y");
  EXPECT_EQ(plan.values.size(), 2u);
  EXPECT_TRUE(plan.Validate().ok()) << plan.Validate();
}

TEST(FuseClampsTest, ClampStaysWhereTheLayersOutputIsReadTwice) {
  Plan plan = ConvRelu();
  plan.outputs.push_back(1);
  FuseClamps(&plan);
  EXPECT_EQ(plan.nodes.size(), 2u);
}

TEST(FuseClampsTest, SecondClampStays) {
  Plan plan = ConvRelu();
  Node again = plan.nodes[1];
  again.inputs = {2};
  again.outputs = {plan.AddValue("w", {1, 4, 8, 8})};
  again.clamp = Clamp{0, 6};
  plan.nodes.push_back(again);
  plan.outputs = again.outputs;
  FuseClamps(&plan);
  RemoveUnread(&plan);
  ASSERT_EQ(plan.nodes.size(), 2u);
  EXPECT_EQ(plan.nodes[1].clamp->hi, 6);
  EXPECT_TRUE(plan.Validate().ok()) << plan.Validate();
}

TEST(RemoveUnreadTest, DropsNodesThatNobodyReads) {
  Plan plan = ConvRelu();
  plan.outputs = {1};
  RemoveUnread(&plan);
  EXPECT_EQ(plan.nodes.size(), 1u);
  EXPECT_EQ(plan.values.size(), 2u);
}

}  // namespace
}  // namespace quantserve
