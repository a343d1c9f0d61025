// The oracle is checked by hand-made numbers: everything else is checked by it.
#include "quant/plan/reference.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/plan_builder.h"

namespace quantserve {
namespace {

using ::testing::ElementsAre;

std::vector<float> RunOne(const Plan& plan, const std::vector<float>& input,
                          int64_t batch = 1) {
  std::vector<float> output(batch * plan.value(plan.outputs[0]).elements());
  const absl::Status status =
      RunReference(plan, batch, {input.data()}, {output.data()});
  EXPECT_TRUE(status.ok()) << status;
  return output;
}

std::shared_ptr<const Tensor> FloatTensor(Shape shape,
                                          const std::vector<float>& data) {
  Tensor tensor(DType::kF32, std::move(shape));
  std::copy(data.begin(), data.end(), tensor.data<float>());
  return std::make_shared<const Tensor>(std::move(tensor));
}

std::shared_ptr<const Tensor> ByteTensor(Shape shape,
                                         const std::vector<int8_t>& data) {
  Tensor tensor(DType::kS8, std::move(shape));
  std::copy(data.begin(), data.end(), tensor.data<int8_t>());
  return std::make_shared<const Tensor>(std::move(tensor));
}

// One node from one input to one output.
struct OneNode {
  Plan plan;
  Node node;
  ValueId in, out;
  OneNode(OpKind kind, Shape in_shape, Shape out_shape) {
    in = plan.AddValue("in", std::move(in_shape));
    out = plan.AddValue("out", std::move(out_shape));
    plan.inputs = {in};
    plan.outputs = {out};
    node.kind = kind;
    node.name = "out";
    node.inputs = {in};
    node.outputs = {out};
  }
  Plan Build() {
    plan.nodes = {node};
    return plan;
  }
};

TEST(QuantizeRealTest, RoundsHalfToEvenAndSaturates) {
  const QuantParams unit{1, 10};
  EXPECT_EQ(QuantizeReal(2.5, unit), 12);
  EXPECT_EQ(QuantizeReal(3.5, unit), 14);
  EXPECT_EQ(QuantizeReal(-2.5, unit), 8);
  EXPECT_EQ(QuantizeReal(-11, unit), 0);
  EXPECT_EQ(QuantizeReal(1e9, unit), 255);
  EXPECT_EQ(QuantizeReal(-std::numeric_limits<double>::infinity(), unit), 0);
  EXPECT_EQ(QuantizeReal(std::nan(""), unit), 10);
  EXPECT_EQ(QuantizeReal(1, {0.5f, 128}), 130);
}

TEST(ReferenceTest, ConvolvesWithStridePaddingAndBias) {
  OneNode p(OpKind::kConv2d, {1, 1, 3, 3}, {1, 1, 2, 2});
  p.node.attrs = Conv2dAttrs{{2, 2}, {1, 1}, {1, 1, 1, 1}, 1};
  p.node.weights.data = FloatTensor({1, 1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  p.node.weights.bias = {100};
  // Windows at the corners of 1..9, e.g. [[0,0,0],[0,1,2],[0,4,5]] at the
  // upper left: 5*1 + 6*2 + 8*4 + 9*5 = 94.
  EXPECT_THAT(RunOne(p.Build(), {1, 2, 3, 4, 5, 6, 7, 8, 9}),
              ElementsAre(194, 206, 206, 194));
}

TEST(ReferenceTest, ConvolvesGroupsSeparately) {
  OneNode p(OpKind::kConv2d, {1, 2, 1, 2}, {1, 2, 1, 2});
  p.node.attrs = Conv2dAttrs{{1, 1}, {1, 1}, {0, 0, 0, 0}, 2};
  p.node.weights.data = FloatTensor({2, 1, 1, 1}, {10, 100});
  EXPECT_THAT(RunOne(p.Build(), {1, 2, 3, 4}), ElementsAre(10, 20, 300, 400));
}

TEST(ReferenceTest, ConvolvesWithDilation) {
  OneNode p(OpKind::kConv2d, {1, 1, 1, 5}, {1, 1, 1, 1});
  p.node.attrs = Conv2dAttrs{{1, 1}, {1, 2}, {0, 0, 0, 0}, 1};
  p.node.weights.data = FloatTensor({1, 1, 1, 3}, {1, 10, 100});
  EXPECT_THAT(RunOne(p.Build(), {1, 2, 3, 4, 5}), ElementsAre(531));
}

TEST(ReferenceTest, AppliesLinearToTheLastDimensionOfEachSample) {
  OneNode p(OpKind::kLinear, {1, 2, 2}, {1, 2, 1});
  p.node.weights.data = FloatTensor({1, 2}, {1, 10});
  p.node.weights.bias = {0.5f};
  EXPECT_THAT(RunOne(p.Build(), {1, 2, 3, 4, 5, 6, 7, 8}, 2),
              ElementsAre(21.5f, 43.5f, 65.5f, 87.5f));
}

TEST(ReferenceTest, AddsTheSecondInputOfAProductBeforeItsClamp) {
  Plan plan;
  const ValueId x = plan.AddValue("x", {1, 2});
  const ValueId y = plan.AddValue("y", {1, 2});
  const ValueId z = plan.AddValue("z", {1, 2});
  plan.inputs = {x, y};
  plan.outputs = {z};
  Node node;
  node.kind = OpKind::kLinear;
  node.name = "z";
  node.inputs = {x, y};
  node.outputs = {z};
  node.weights.data = FloatTensor({2, 2}, {1, 0, 0, 1});
  node.clamp = Clamp{};
  plan.nodes = {node};
  const std::vector<float> a = {1, 2}, b = {-5, 1};
  std::vector<float> out(2);
  ASSERT_TRUE(RunReference(plan, 1, {a.data(), b.data()}, {out.data()}).ok());
  EXPECT_THAT(out, ElementsAre(0, 3));
}

// 8-bit: whole-number sums, zero points, one rounding at the end.
TEST(ReferenceTest, ConvolvesBytesExactly) {
  Plan plan;
  const ValueId in = plan.AddValue("in", {1, 1, 1, 2});
  const ValueId q = plan.AddValue("q", {1, 1, 1, 2}, QuantParams{0.5f, 3});
  const ValueId r = plan.AddValue("r", {1, 1, 1, 2}, QuantParams{1, 100});
  const ValueId out = plan.AddValue("out", {1, 1, 1, 2});
  plan.inputs = {in};
  plan.outputs = {out};
  Node quantize, conv, dequantize;
  quantize.kind = OpKind::kQuantize;
  quantize.inputs = {in};
  quantize.outputs = {q};
  conv.kind = OpKind::kConv2d;
  conv.inputs = {q};
  conv.outputs = {r};
  // One tap to the left: at the left edge it meets padding, a real zero.
  conv.attrs = Conv2dAttrs{{1, 1}, {1, 1}, {0, 1, 0, 0}, 1};
  conv.weights.data = ByteTensor({1, 1, 1, 2}, {7, -3});
  conv.weights.scales = {0.25f};
  conv.weights.bias = {0.125f};
  dequantize.kind = OpKind::kDequantize;
  dequantize.inputs = {r};
  dequantize.outputs = {out};
  plan.nodes = {quantize, conv, dequantize};
  // 2 -> q 7 (4 above zero), 2.6 -> 5.2 -> 5 above zero.
  // left:  4 * -3 * 0.125 + 0.125 = -1.375 -> -1
  // right: (4 * 7 + 5 * -3) * 0.125 + 0.125 = 1.75 -> 2
  EXPECT_THAT(RunOne(plan, {2, 2.6f}), ElementsAre(-1, 2));
}

TEST(ReferenceTest, PoolsIgnorePadding) {
  OneNode max(OpKind::kMaxPool, {1, 1, 2, 2}, {1, 1, 2, 2});
  max.node.attrs = PoolAttrs{{2, 2}, {1, 1}, {1, 1}, {1, 1, 0, 0}, false};
  EXPECT_THAT(RunOne(max.Build(), {-4, -3, -2, -1}),
              ElementsAre(-4, -3, -2, -1));
  OneNode mean(OpKind::kAvgPool, {1, 1, 2, 2}, {1, 1, 2, 2});
  mean.node.attrs = PoolAttrs{{2, 2}, {1, 1}, {1, 1}, {1, 1, 0, 0}, false};
  EXPECT_THAT(RunOne(mean.Build(), {4, 8, 2, 6}), ElementsAre(4, 6, 3, 5));
  std::get<PoolAttrs>(mean.node.attrs).count_include_pad = true;
  EXPECT_THAT(RunOne(mean.Build(), {4, 8, 2, 6}), ElementsAre(1, 3, 1.5f, 5));
}

TEST(ReferenceTest, MovesElements) {
  OneNode slice(OpKind::kSlice, {1, 2, 4}, {1, 1, 2});
  slice.node.attrs = SliceAttrs{{0, 1, 1}, {1, 1, 2}};
  EXPECT_THAT(RunOne(slice.Build(), {0, 1, 2, 3, 4, 5, 6, 7}),
              ElementsAre(5, 7));
  OneNode permute(OpKind::kPermute, {1, 2, 3}, {1, 3, 2});
  permute.node.attrs = PermuteAttrs{{0, 2, 1}};
  EXPECT_THAT(RunOne(permute.Build(), {0, 1, 2, 3, 4, 5}),
              ElementsAre(0, 3, 1, 4, 2, 5));
  OneNode pad(OpKind::kPad, {1, 2}, {1, 5});
  pad.node.attrs = PadAttrs{{0, 1}, {0, 2}, 9};
  EXPECT_THAT(RunOne(pad.Build(), {1, 2, 3, 4}, 2),
              ElementsAre(9, 1, 2, 9, 9, 9, 3, 4, 9, 9));
  OneNode concat(OpKind::kConcat, {1, 2, 1}, {1, 4, 1});
  concat.node.attrs = ConcatAttrs{1};
  concat.node.inputs = {concat.in, concat.in};
  EXPECT_THAT(RunOne(concat.Build(), {1, 2, 3, 4}, 2),
              ElementsAre(1, 2, 1, 2, 3, 4, 3, 4));
  OneNode reshape(OpKind::kReshape, {1, 2, 2}, {1, 4});
  EXPECT_THAT(RunOne(reshape.Build(), {1, 2, 3, 4}), ElementsAre(1, 2, 3, 4));
}

TEST(ReferenceTest, BroadcastsOneNumberPerChannel) {
  testing::PlanBuilder b(1);
  const ValueId x = b.Input({1, 2, 1, 2});
  const ValueId s = b.Input({1, 2, 1, 1});
  const Plan plan = b.Build({b.Mul(x, s), b.Add(x, s, Clamp{0, 12})});
  const std::vector<float> a = {1, 2, 3, 4}, c = {10, -1};
  std::vector<float> product(4), sum(4);
  ASSERT_TRUE(
      RunReference(plan, 1, {a.data(), c.data()}, {product.data(), sum.data()})
          .ok());
  EXPECT_THAT(product, ElementsAre(10, 20, -3, -4));
  EXPECT_THAT(sum, ElementsAre(11, 12, 2, 3));
}

TEST(ReferenceTest, LooksUpUnaryFunctionsByCode) {
  Plan plan;
  const ValueId in = plan.AddValue("in", {1, 2});
  const ValueId q = plan.AddValue("q", {1, 2}, QuantParams{1, 0});
  const ValueId r = plan.AddValue("r", {1, 2}, QuantParams{2, 1});
  const ValueId out = plan.AddValue("out", {1, 2});
  plan.inputs = {in};
  plan.outputs = {out};
  UnaryTable table{};
  table[5] = 11;
  table[6] = 0;
  Node quantize, unary, dequantize;
  quantize.kind = OpKind::kQuantize;
  quantize.inputs = {in};
  quantize.outputs = {q};
  unary.kind = OpKind::kUnary;
  unary.inputs = {q};
  unary.outputs = {r};
  testing::PlanBuilder b(1);
  const Plan silu = b.Build({b.Unary(b.Input({1, 1}), "silu")});
  UnaryAttrs attrs = std::get<UnaryAttrs>(silu.nodes[0].attrs);
  attrs.table = std::make_shared<const UnaryTable>(table);
  unary.attrs = attrs;
  dequantize.kind = OpKind::kDequantize;
  dequantize.inputs = {r};
  dequantize.outputs = {out};
  plan.nodes = {quantize, unary, dequantize};
  EXPECT_THAT(RunOne(plan, {5, 6}), ElementsAre(20, -2));
}

TEST(ReferenceTest, RunsIslandsInFp32) {
  testing::PlanBuilder b(1);
  const Plan plan = b.Build({b.Island(b.Input({1, 2}))});
  EXPECT_THAT(RunOne(plan, {1, 2, 3, 4}, 2), ElementsAre(2, 4, 6, 8));
}

TEST(ReferenceTest, RefusesBadCalls) {
  testing::PlanBuilder b(1);
  const Plan plan = b.Build({b.Island(b.Input({1, 2}))});
  std::vector<float> data(4);
  EXPECT_EQ(RunReference(plan, 0, {data.data()}, {data.data()}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(RunReference(plan, 1, {}, {data.data()}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(RunReference(plan, 1, {data.data()}, {}).code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace quantserve
