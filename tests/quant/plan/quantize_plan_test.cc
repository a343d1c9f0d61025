// Grids, weights and which nodes become 8-bit.
#include "quant/plan/quantize_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "quant/plan/bias_shifts.h"

namespace quantserve {
namespace {

std::shared_ptr<const Tensor> Filled(Shape shape, std::vector<float> values) {
  auto tensor = std::make_shared<Tensor>(DType::kF32, std::move(shape));
  for (int64_t i = 0; i < tensor->elements(); ++i) {
    tensor->data<float>()[i] = values[i % values.size()];
  }
  return tensor;
}

TEST(ChooseQuantParamsTest, AffineGridCoversTheRangeAndHoldsZero) {
  const QuantParams q = ChooseQuantParams({-1.0f, 3.0f}, false);
  EXPECT_FLOAT_EQ(q.scale, 4.0f / 255);
  EXPECT_EQ(q.zero_point, 64);  // 63.75 rounds up
}

TEST(ChooseQuantParamsTest, NonNegativeRangeHasZeroPointZero) {
  const QuantParams q = ChooseQuantParams({0.0f, 2.55f}, false);
  EXPECT_EQ(q.zero_point, 0);
  EXPECT_FLOAT_EQ(q.scale, 0.01f);
}

TEST(ChooseQuantParamsTest, RangeWithoutZeroIsWidened) {
  EXPECT_EQ(ChooseQuantParams({1.0f, 2.0f}, false),
            ChooseQuantParams({0.0f, 2.0f}, false));
}

TEST(ChooseQuantParamsTest, SymmetricGridIsCentredOn128) {
  const QuantParams q = ChooseQuantParams({-1.27f, 0.5f}, true);
  EXPECT_EQ(q.zero_point, 128);
  EXPECT_FLOAT_EQ(q.scale, 0.01f);
}

TEST(ChooseQuantParamsTest, EmptyRangeGivesAUsableGrid) {
  for (const bool symmetric : {false, true}) {
    const QuantParams q = ChooseQuantParams({0, 0}, symmetric);
    EXPECT_EQ(q.scale, 1.0f);
  }
}

TEST(QuantizeWeightsTest, EachChannelUsesItsOwnScale) {
  const Weights w{Filled({2, 2}, {1.0f, -0.5f, 100.0f, 25.0f}), {}, {1, 2}};
  const Weights q = QuantizeWeights(w, 8);
  EXPECT_FLOAT_EQ(q.scales[0], 1.0f / 127);
  EXPECT_FLOAT_EQ(q.scales[1], 100.0f / 127);
  EXPECT_EQ(q.data->data<int8_t>()[0], 127);
  EXPECT_EQ(q.data->data<int8_t>()[1], -64);  // -63.5: half to even
  EXPECT_EQ(q.data->data<int8_t>()[2], 127);
  EXPECT_EQ(q.bias, w.bias);
}

TEST(QuantizeWeightsTest, SevenBitsStayWithin63) {
  const Weights w{Filled({1, 3}, {-1.0f, 0.25f, 1.0f}), {}, {}};
  const Weights q = QuantizeWeights(w, 7);
  EXPECT_EQ(q.data->data<int8_t>()[0], -63);
  EXPECT_EQ(q.data->data<int8_t>()[2], 63);
}

TEST(QuantizeWeightsTest, AllZeroChannelHasNoInfiniteScale) {
  const Weights q = QuantizeWeights({Filled({1, 3}, {0.0f}), {}, {}}, 8);
  EXPECT_EQ(q.scales[0], 1.0f);
  EXPECT_EQ(q.data->data<int8_t>()[1], 0);
}

// Weights [[1, 0.3]] on a grid of 1/127: 0.3 becomes 38/127, too small by
// 0.000787; inputs with mean 10 in that channel lose 0.00787, which the bias
// gives back.
TEST(AnalyticBiasShiftTest, BiasTakesUpTheMeanError) {
  const Weights w{Filled({1, 2}, {1.0f, 0.3f}), {}, {0.5f}};
  const Weights q = QuantizeWeights(w, 8);
  const auto shift = AnalyticBiasShift(w, 1, {3.0f, 10.0f}, q);
  EXPECT_NEAR(shift.at(0), 10 * (0.3 - 38.0 / 127), 1e-6);
}

TEST(AnalyticBiasShiftTest, GroupsReadTheirOwnChannels) {
  const Weights w{Filled({2, 2, 1, 1}, {1.0f, 0.3f}), {}, {}};
  const Weights q = QuantizeWeights(w, 8);
  const auto shift = AnalyticBiasShift(w, 2, {0, 0, 0, 10.0f}, q);
  EXPECT_EQ(shift.at(0), 0);
  EXPECT_NEAR(shift.at(1), 10 * (0.3 - 38.0 / 127), 1e-6);
}

TEST(AnalyticBiasShiftTest, UnknownMeansChangeNothing) {
  const Weights w{Filled({1, 2}, {1.0f, 0.3f}), {}, {}};
  const Weights q = QuantizeWeights(w, 8);
  EXPECT_TRUE(AnalyticBiasShift(w, 1, {}, q).empty());
}

class DoubleIsland : public Island {
 public:
  const std::string& op() const override { return op_; }
  absl::Status Run(absl::Span<const float* const> inputs,
                   absl::Span<const Shape> input_shapes,
                   absl::Span<float* const> outputs,
                   absl::Span<const Shape>) const override {
    const int64_t n = *NumElements(input_shapes[0]);
    for (int64_t i = 0; i < n; ++i) outputs[0][i] = 2 * inputs[0][i];
    return absl::OkStatus();
  }

 private:
  std::string op_ = "test::double";
};

// Builds plans of [1,4] values, node by node.
class PlanBuilder {
 public:
  ValueId Input(const std::string& name) {
    const ValueId id = plan_.AddValue(name, {1, 4});
    plan_.inputs.push_back(id);
    return id;
  }
  ValueId Linear(const std::string& name, ValueId in) {
    Node& node = Append(OpKind::kLinear, name, {in});
    node.weights.data = Filled({4, 4}, {0.5f, -1.0f, 0.25f});
    return node.outputs[0];
  }
  ValueId Add(const std::string& name, ValueId a, ValueId b) {
    return Append(OpKind::kAdd, name, {a, b}).outputs[0];
  }
  ValueId Reshape(const std::string& name, ValueId in) {
    return Append(OpKind::kReshape, name, {in}).outputs[0];
  }
  ValueId ClampTo(const std::string& name, ValueId in, float lo, float hi) {
    Node& node = Append(OpKind::kClamp, name, {in});
    node.clamp = Clamp{lo, hi};
    return node.outputs[0];
  }
  ValueId Island(const std::string& name, ValueId in) {
    Node& node = Append(OpKind::kIsland, name, {in});
    node.attrs = IslandAttrs{std::make_shared<DoubleIsland>()};
    return node.outputs[0];
  }
  ValueId Unary(const std::string& name, ValueId in) {
    Node& node = Append(OpKind::kUnary, name, {in});
    node.attrs =
        UnaryAttrs{"double", std::make_shared<DoubleIsland>(), nullptr};
    return node.outputs[0];
  }
  ValueId Concat(const std::string& name, ValueId a, ValueId b) {
    Node& node = Append(OpKind::kConcat, name, {a, b});
    node.attrs = ConcatAttrs{1};
    plan_.values[node.outputs[0]].shape = {1, 8};
    return node.outputs[0];
  }
  Plan Finish(ValueId output) {
    plan_.outputs = {output};
    EXPECT_TRUE(plan_.Validate().ok()) << plan_.Validate();
    return plan_;
  }

 private:
  Node& Append(OpKind kind, const std::string& name,
               std::vector<ValueId> inputs) {
    Node node;
    node.kind = kind;
    node.name = name;
    node.inputs = std::move(inputs);
    node.outputs = {plan_.AddValue(name, {1, 4})};
    plan_.nodes.push_back(std::move(node));
    return plan_.nodes.back();
  }
  Plan plan_;
};

Recipe SameRange(const Plan& plan, Range affine) {
  const float bound = std::max(-affine.lo, affine.hi);
  Recipe recipe;
  for (const Value& v : plan.values) {
    recipe.ranges[v.name] = {affine, {-bound, bound}};
  }
  return recipe;
}

const QuantParams& GridOf(const Plan& plan, const std::string& name) {
  for (const Value& v : plan.values) {
    if (v.name == name) return *v.quant;
  }
  ADD_FAILURE() << "no value " << name;
  static const QuantParams none;
  return none;
}

std::vector<OpKind> Kinds(const Plan& plan) {
  std::vector<OpKind> kinds;
  for (const Node& node : plan.nodes) kinds.push_back(node.kind);
  return kinds;
}

TEST(QuantizePlanTest, LayersAreFramedByConversions) {
  PlanBuilder b;
  const Plan plan = b.Finish(b.Linear("y", b.Input("x")));
  const auto q = QuantizePlan(plan, SameRange(plan, {-1, 1}), {});
  ASSERT_TRUE(q.ok()) << q.status();
  EXPECT_THAT(Kinds(q->plan),
              ::testing::ElementsAre(OpKind::kQuantize, OpKind::kLinear,
                                     OpKind::kDequantize));
  EXPECT_TRUE(q->outcomes[0].quantized);
}

TEST(QuantizePlanTest, IslandStaysFloatAndSaysWhy) {
  PlanBuilder b;
  const Plan plan =
      b.Finish(b.Linear("z", b.Island("y", b.Linear("w", b.Input("x")))));
  const auto q = QuantizePlan(plan, SameRange(plan, {-1, 1}), {});
  ASSERT_TRUE(q.ok()) << q.status();
  EXPECT_THAT(Kinds(q->plan),
              ::testing::ElementsAre(OpKind::kQuantize, OpKind::kLinear,
                                     OpKind::kDequantize, OpKind::kIsland,
                                     OpKind::kQuantize, OpKind::kLinear,
                                     OpKind::kDequantize));
  EXPECT_FALSE(q->outcomes[1].quantized);
  EXPECT_EQ(q->outcomes[1].op, "test::double");
  EXPECT_EQ(q->outcomes[1].reason, "operator has no 8-bit form");
}

TEST(QuantizePlanTest, ReshapeOfAFloatInputStaysFloat) {
  PlanBuilder b;
  const Plan plan = b.Finish(b.Reshape("y", b.Input("x")));
  const auto q = QuantizePlan(plan, {}, {});
  ASSERT_TRUE(q.ok()) << q.status();
  EXPECT_FALSE(q->plan.quantized());
}

TEST(QuantizePlanTest, ClampThatExcludesZeroStaysFloat) {
  PlanBuilder b;
  const Plan plan = b.Finish(b.ClampTo("z", b.Linear("y", b.Input("x")), 1, 2));
  const auto q = QuantizePlan(plan, SameRange(plan, {-1, 1}), {});
  ASSERT_TRUE(q.ok()) << q.status();
  EXPECT_EQ(q->outcomes[1].reason, "clamps to an interval without zero");
}

// The value that only an addition reads is affine; the sum, which a layer
// reads, is symmetric, as its range is nearly so.
TEST(QuantizePlanTest, ResidualBranchIsAffine) {
  PlanBuilder b;
  const ValueId x = b.Input("x");
  const Plan plan =
      b.Finish(b.Linear("z", b.Add("sum", b.Linear("l", x), b.Linear("r", x))));
  const auto q = QuantizePlan(plan, SameRange(plan, {-0.6f, 1}), {});
  ASSERT_TRUE(q.ok()) << q.status();
  EXPECT_EQ(GridOf(q->plan, "l").zero_point, 96);
  EXPECT_EQ(GridOf(q->plan, "r").zero_point, 96);
  EXPECT_EQ(GridOf(q->plan, "sum").zero_point, 128);
}

TEST(QuantizePlanTest, ConcatenationSharesTheHullOfItsInputsRanges) {
  PlanBuilder b;
  const ValueId x = b.Input("x");
  const Plan plan = b.Finish(b.Concat("c", b.Linear("l", x), b.Linear("r", x)));
  Recipe recipe = SameRange(plan, {0, 1});
  recipe.ranges["r"] = {{-1, 3}, {-3, 3}};
  const auto q = QuantizePlan(plan, recipe, {});
  ASSERT_TRUE(q.ok()) << q.status();
  EXPECT_EQ(GridOf(q->plan, "l"), GridOf(q->plan, "r"));
  EXPECT_EQ(GridOf(q->plan, "l"), GridOf(q->plan, "c"));
  EXPECT_FLOAT_EQ(GridOf(q->plan, "c").scale, 4.0f / 255);
}

TEST(QuantizePlanTest, UnaryFunctionBecomesATable) {
  PlanBuilder b;
  const Plan plan = b.Finish(b.Unary("u", b.Linear("y", b.Input("x"))));
  Recipe recipe = SameRange(plan, {0, 2.55f});
  recipe.ranges["u"] = {{0, 5.1f}, {-5.1f, 5.1f}};
  const auto q = QuantizePlan(plan, recipe, {});
  ASSERT_TRUE(q.ok()) << q.status();
  for (const Node& node : q->plan.nodes) {
    if (node.kind != OpKind::kUnary) continue;
    const auto& table = *std::get<UnaryAttrs>(node.attrs).table;
    // Twice the value on a grid of twice the scale is the same integer.
    for (int i = 0; i < 256; ++i) EXPECT_EQ(table[i], i);
    return;
  }
  FAIL() << "no unary node";
}

TEST(QuantizePlanTest, KeptLayerStaysFloatWithItsReason) {
  PlanBuilder b;
  const Plan plan = b.Finish(b.Linear("z", b.Linear("y", b.Input("x"))));
  Recipe recipe = SameRange(plan, {-1, 1});
  recipe.keep_float["y"] = "asked for";
  const auto q = QuantizePlan(plan, recipe, {});
  ASSERT_TRUE(q.ok()) << q.status();
  EXPECT_THAT(Kinds(q->plan),
              ::testing::ElementsAre(OpKind::kLinear, OpKind::kQuantize,
                                     OpKind::kLinear, OpKind::kDequantize));
  EXPECT_FALSE(q->outcomes[0].quantized);
  EXPECT_EQ(q->outcomes[0].reason, "asked for");
  EXPECT_TRUE(q->outcomes[1].quantized);
}

// The grid that a kept layer would read is what keeping it gets rid of.
TEST(QuantizePlanTest, LayerBeforeAKeptOneWritesFp32) {
  PlanBuilder b;
  const Plan plan = b.Finish(b.Linear("z", b.Linear("y", b.Input("x"))));
  Recipe recipe = SameRange(plan, {-1, 1});
  recipe.keep_float["z"] = "asked for";
  const auto q = QuantizePlan(plan, recipe, {});
  ASSERT_TRUE(q.ok()) << q.status();
  EXPECT_THAT(Kinds(q->plan),
              ::testing::ElementsAre(OpKind::kQuantize, OpKind::kLinear,
                                     OpKind::kLinear));
  EXPECT_TRUE(q->outcomes[0].quantized);
  EXPECT_FALSE(q->outcomes[1].quantized);
}

TEST(QuantizePlanTest, ShiftsAreAddedToBiases) {
  PlanBuilder b;
  const Plan plan = b.Finish(b.Linear("y", b.Input("x")));
  Recipe recipe = SameRange(plan, {-1, 1});
  recipe.bias_shifts["y"] = {1, 2, 3, 4};
  const auto q = QuantizePlan(plan, recipe, {});
  ASSERT_TRUE(q.ok()) << q.status();
  EXPECT_EQ(q->plan.nodes[1].weights.bias, (std::vector<float>{1, 2, 3, 4}));
}

// Recipes come from files: each part that does not fit is named.
TEST(QuantizePlanTest, RecipesThatDoNotFitAreRefused) {
  PlanBuilder b;
  const ValueId x = b.Input("x");
  const Plan plan = b.Finish(b.Add("s", b.Linear("y", x), b.Linear("z", x)));
  const std::vector<std::pair<std::function<void(Recipe*)>, std::string>>
      cases = {{[](Recipe* r) { r->weight_bits = 4; }, "4 bits"},
               {[](Recipe* r) { r->keep_float["other"] = ""; }, "\"other\""},
               {[](Recipe* r) { r->bias_shifts["other"] = {}; }, "\"other\""},
               {[](Recipe* r) { r->bias_shifts["y"] = {1}; }, "1 bias shifts"},
               {[](Recipe* r) {
                  r->equalizations = {{"y", "z", {1, 1, 1, 1}}};
                },
                "cannot be equalized"}};
  for (const auto& [apply, message] : cases) {
    Recipe recipe = SameRange(plan, {-1, 1});
    apply(&recipe);
    const absl::Status status = QuantizePlan(plan, recipe, {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << message;
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(message));
  }
}

TEST(QuantizePlanTest, MissingRangeIsNamed) {
  PlanBuilder b;
  const Plan plan = b.Finish(b.Linear("y", b.Input("x")));
  Recipe recipe = SameRange(plan, {-1, 1});
  recipe.ranges.erase("y");
  const auto q = QuantizePlan(plan, recipe, {});
  EXPECT_EQ(q.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(q.status().message()), ::testing::HasSubstr("\"y\""));
}

}  // namespace
}  // namespace quantserve
