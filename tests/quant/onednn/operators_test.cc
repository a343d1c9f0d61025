// Each kind of node, in FP32 and in 8 bits, against the reference interpreter.
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "quant/onednn/optimise.h"
#include "tests/quant/onednn/engine_testing.h"

namespace quantserve::testing {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Case {
  std::string name;
  std::function<Plan(PlanBuilder*)> build;
};

// A convolution first, so that what follows is quantized.
ValueId Start(PlanBuilder* b, int64_t channels, int64_t size,
              std::optional<Clamp> clamp = Relu()) {
  return b->Conv(b->Input({1, 3, size, size}), {channels, 3, 1, 1}, clamp);
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  const auto add = [&](const std::string& name,
                       std::function<Plan(PlanBuilder*)> build) {
    cases.push_back({name, std::move(build)});
  };
  const auto conv = [&](const std::string& name, Shape input, ConvOptions o,
                        std::optional<Clamp> clamp) {
    add(name, [=](PlanBuilder* b) {
      return b->Build({b->Conv(b->Input(input), o, clamp)});
    });
  };
  conv("ConvOfImage", {1, 3, 9, 11}, {16, 3, 1, 1}, Relu());
  conv("ConvOfGreyImage", {1, 1, 9, 11}, {16, 5, 2, 2}, Relu());
  conv("ConvSevenByTwo", {1, 3, 32, 32}, {64, 7, 2, 3}, Relu());
  conv("ConvOddChannels", {1, 5, 7, 9}, {13, 3, 1, 1}, std::nullopt);
  conv("ConvWithoutBias", {1, 16, 8, 8}, {32, 3, 1, 1, 1, 1, false}, Relu());
  conv("ConvStride", {1, 16, 15, 13}, {32, 3, 2, 1}, std::nullopt);
  conv("ConvStrideThreeNoPadding", {1, 8, 11, 11}, {8, 2, 3, 0}, Relu());
  conv("ConvDilation", {1, 16, 14, 14}, {16, 3, 1, 2, 2}, Relu());
  conv("ConvGroups", {1, 32, 8, 8}, {64, 3, 1, 1, 1, 4}, Relu());
  conv("ConvGroupsOfOddSize", {1, 6, 8, 8}, {9, 3, 1, 1, 1, 3}, Relu());
  conv("ConvDepthwise", {1, 32, 10, 10}, {32, 3, 1, 1, 1, 32}, Relu());
  conv("ConvDepthwiseOdd", {1, 7, 10, 10}, {7, 5, 2, 2, 1, 7}, std::nullopt);
  conv("ConvDepthwiseMultiplied", {1, 8, 6, 6}, {16, 3, 1, 1, 1, 8}, Relu());
  conv("ConvPointwise", {1, 24, 6, 6}, {40, 1, 1, 0}, Relu());
  conv("ConvPointwiseStride", {1, 32, 7, 7}, {48, 1, 2, 0}, std::nullopt);
  conv("ConvOnOnePixel", {1, 64, 1, 1}, {32, 3, 1, 1}, Relu());
  conv("ConvToOnePixel", {1, 32, 2, 2}, {48, 3, 2, 1}, Relu());
  conv("ConvCoversImage", {1, 16, 4, 4}, {32, 4, 1, 0}, Relu());
  conv("ConvRelu6", {1, 16, 8, 8}, {16, 3, 1, 1}, Clamp{0, 1.5f});
  conv("ConvClampBelowZero", {1, 16, 8, 8}, {16, 3, 1, 1}, Clamp{-0.5f, 0.7f});
  add("ConvChain", [](PlanBuilder* b) {
    ValueId x = Start(b, 16, 12);
    x = b->Conv(x, {32, 3, 2, 1}, Relu());
    return b->Build({b->Conv(x, {16, 1})});
  });
  add("ConvOfSigned", [](PlanBuilder* b) {
    const ValueId x = Start(b, 16, 12, std::nullopt);
    return b->Build({b->Conv(x, {32, 3, 1, 1})});
  });
  add("DepthwiseOfSigned", [](PlanBuilder* b) {
    const ValueId x = Start(b, 16, 12, std::nullopt);
    return b->Build({b->Conv(x, {16, 3, 1, 1, 1, 16})});
  });
  add("Linear", [](PlanBuilder* b) {
    const ValueId x = b->Input({1, 37});
    return b->Build({b->Linear(b->Linear(x, 64, Relu()), 10)});
  });
  add("LinearOnSequence", [](PlanBuilder* b) {
    return b->Build({b->Linear(b->Input({1, 5, 24}), 17)});
  });
  add("LinearOnRankFour", [](PlanBuilder* b) {
    return b->Build({b->Linear(b->Input({1, 3, 5, 24}), 16)});
  });
  for (const bool relu : {false, true}) {
    const std::optional<Clamp> clamp =
        relu ? std::optional<Clamp>(Relu()) : std::nullopt;
    add(relu ? "AddRelu" : "Add", [=](PlanBuilder* b) {
      const ValueId x = Start(b, 16, 8);
      const ValueId y = b->MaxPool(x, 3, 1, 1);
      return b->Build({b->Add(b->AvgPool(x, 3, 1, 1), y, clamp)});
    });
  }
  add("AddOfItself", [](PlanBuilder* b) {
    const ValueId x = Start(b, 16, 8);
    return b->Build({b->Add(x, x)});
  });
  add("ResidualBlock", [](PlanBuilder* b) {
    const ValueId x = Start(b, 32, 8);
    return b->Build({b->BasicBlock(x, 32, 1)});
  });
  add("ResidualBlockWithProjection", [](PlanBuilder* b) {
    const ValueId x = Start(b, 32, 8);
    return b->Build({b->BasicBlock(x, 64, 2)});
  });
  // The shortcut is read again behind the addition: it must survive it.
  add("ResidualReadAgain", [](PlanBuilder* b) {
    const ValueId x = Start(b, 32, 8);
    const ValueId y = b->Add(b->Conv(x, {32, 3, 1, 1}), x, Relu());
    return b->Build({b->Add(b->Conv(y, {32, 3, 1, 1}), x), y});
  });
  // The product reads the value that it is added to.
  add("ConvPlusItsInput", [](PlanBuilder* b) {
    const ValueId x = Start(b, 16, 6);
    return b->Build({b->Add(b->Conv(x, {16, 3, 1, 1}), x)});
  });
  add("ResidualThroughReshape", [](PlanBuilder* b) {
    const ValueId x = b->Linear(b->Input({1, 24}), 32, Relu());
    const ValueId y = b->Reshape(b->Reshape(x, {1, 4, 8}), {1, 32});
    return b->Build({b->Add(b->Linear(y, 32), x), b->Reshape(y, {1, 2, 16})});
  });
  add("MulPerChannel", [](PlanBuilder* b) {
    const ValueId x = Start(b, 16, 8);
    ValueId gate = b->GlobalAvgPool(x);
    gate = b->Unary(b->Conv(gate, {16, 1}), "sigmoid");
    return b->Build({b->Mul(x, gate)});
  });
  add("AddPerChannel", [](PlanBuilder* b) {
    const ValueId x = Start(b, 24, 8);
    return b->Build({b->Add(x, b->GlobalAvgPool(x), Clamp{0, 2})});
  });
  add("Mul", [](PlanBuilder* b) {
    const ValueId x = Start(b, 16, 7, std::nullopt);
    return b->Build({b->Mul(x, b->MaxPool(x, 3, 1, 1))});
  });
  add("MaxPool", [](PlanBuilder* b) {
    return b->Build({b->MaxPool(Start(b, 70, 9), 3, 2, 1)});
  });
  add("MaxPoolOfSigned", [](PlanBuilder* b) {
    return b->Build({b->MaxPool(Start(b, 16, 9, std::nullopt), 2, 2, 0)});
  });
  for (const bool include : {false, true}) {
    add(include ? "AvgPoolCountsPadding" : "AvgPool", [=](PlanBuilder* b) {
      return b->Build({b->AvgPool(Start(b, 20, 9), 3, 2, 1, include)});
    });
  }
  add("GlobalAvgPoolAndClassifier", [](PlanBuilder* b) {
    const ValueId x = b->GlobalAvgPool(Start(b, 40, 9));
    return b->Build({b->Linear(b->Flatten(x), 10)});
  });
  add("FlattenOfImage", [](PlanBuilder* b) {
    return b->Build({b->Linear(b->Flatten(Start(b, 8, 5)), 10)});
  });
  add("ReshapeToImage", [](PlanBuilder* b) {
    const ValueId x = b->Linear(b->Input({1, 20}), 4 * 6 * 6, Relu());
    return b->Build({b->Conv(b->Reshape(x, {1, 4, 6, 6}), {8, 3, 1, 1})});
  });
  for (int64_t axis : {1, 2, 3}) {
    add("Concat" + std::to_string(axis), [=](PlanBuilder* b) {
      const ValueId x = Start(b, 16, 6);
      const ValueId y = b->MaxPool(x, 3, 1, 1);
      return b->Build({b->Concat({x, y, x}, axis)});
    });
  }
  add("ConcatOfVectors", [](PlanBuilder* b) {
    const ValueId x = b->Linear(b->Input({1, 8}), 6, Relu());
    return b->Build({b->Linear(b->Concat({x, x}, 1), 4)});
  });
  add("Slice", [](PlanBuilder* b) {
    const ValueId x = Start(b, 16, 9);
    return b->Build({b->Slice(x, {0, 3, 1, 0}, {1, 2, 2, 3}, {1, 6, 4, 3})});
  });
  for (const Shape& order : {Shape{0, 2, 3, 1}, Shape{0, 3, 1, 2},
                             Shape{0, 1, 3, 2}, Shape{0, 3, 2, 1}}) {
    add(absl::StrCat("Permute", order[1], order[2], order[3]),
        [=](PlanBuilder* b) {
          const ValueId x = Start(b, 16, 6);
          return b->Build({b->Permute(x, order)});
        });
  }
  add("LinearBetweenPermutes", [](PlanBuilder* b) {
    ValueId x = b->Permute(Start(b, 16, 6), {0, 2, 3, 1});
    x = b->Permute(b->Linear(x, 8), {0, 3, 1, 2});
    return b->Build({b->Conv(x, {8, 3, 1, 1})});
  });
  add("ChannelShuffle", [](PlanBuilder* b) {
    ValueId x = b->Reshape(Start(b, 16, 6), {1, 2, 8, 6, 6});
    x = b->Reshape(b->Permute(x, {0, 2, 1, 3, 4}), {1, 16, 6, 6});
    return b->Build({b->Conv(x, {8, 3, 1, 1})});
  });
  add("OptionAShortcut", [](PlanBuilder* b) {
    const ValueId x = Start(b, 16, 8);
    ValueId y = b->Slice(x, {0, 0, 0, 0}, {1, 1, 2, 2}, {1, 16, 4, 4});
    y = b->Pad(y, {0, 8, 0, 0}, {0, 8, 0, 0});
    ValueId z = b->Conv(x, {32, 3, 2, 1}, Relu());
    z = b->Conv(z, {32, 3, 1, 1});
    return b->Build({b->Add(z, y, Relu())});
  });
  add("Pad", [](PlanBuilder* b) {
    const ValueId x = Start(b, 8, 5);
    return b->Build({b->Pad(x, {0, 0, 1, 2}, {0, 1, 0, 3}, 0.5f)});
  });
  add("Clamp", [](PlanBuilder* b) {
    const ValueId x = Start(b, 8, 5, std::nullopt);
    const ValueId y = b->MaxPool(x, 3, 1, 1);
    return b->Build({b->ClampTo(y, -0.25f, 0.75f)});
  });
  add("ClampFromBelow", [](PlanBuilder* b) {
    const ValueId x = Start(b, 20, 5, std::nullopt);
    return b->Build({b->ClampTo(b->MaxPool(x, 3, 1, 1), 0, kInfinity)});
  });
  add("Unary", [](PlanBuilder* b) {
    const ValueId x = Start(b, 20, 6, std::nullopt);
    return b->Build({b->Conv(b->Unary(x, "silu"), {8, 1})});
  });
  add("Island", [](PlanBuilder* b) {
    const ValueId x = Start(b, 20, 6);
    return b->Build({b->Conv(b->Island(x), {8, 3, 1, 1})});
  });
  add("TwoInputs", [](PlanBuilder* b) {
    const ValueId x = b->Conv(b->Input({1, 3, 6, 6}), {16, 3, 1, 1}, Relu());
    const ValueId y = b->Conv(b->Input({1, 8, 6, 6}), {16, 1}, Relu());
    return b->Build({b->Add(x, y), b->Linear(b->Flatten(y), 3)});
  });
  add("ImageReadTwice", [](PlanBuilder* b) {
    const ValueId x = b->Input({1, 3, 8, 8});
    const ValueId y = b->Conv(x, {16, 3, 1, 1}, Relu());
    return b->Build({b->Add(y, b->Conv(x, {16, 1}))});
  });
  return cases;
}

class OperatorTest : public ::testing::TestWithParam<Case> {};

TEST_P(OperatorTest, Fp32MatchesReference) {
  PlanBuilder b(3);
  ExpectFp32MatchesOracle(GetParam().build(&b), 2e-5);
}

TEST_P(OperatorTest, Fp32OnTwoThreadsMatchesReference) {
  PlanBuilder b(3);
  ExpectFp32MatchesOracle(GetParam().build(&b), 2e-5, kTwoThreads);
}

// The oracle runs what the engine runs, after the engine's own fusions, so that
// every operator is held to its own step.
Plan Fused(const Plan& plan) {
  std::vector<std::string> notes;
  return onednn::Optimise(plan, 1, {}, &notes);
}

TEST_P(OperatorTest, Int8IsWithinOneStepOfReference) {
  PlanBuilder b(4);
  ExpectInt8MatchesOracle(Fused(Quantized(GetParam().build(&b))), 1.001);
}

TEST_P(OperatorTest, Int8WithGeneralZeroPointsIsWithinOneStep) {
  PlanBuilder b(5);
  QuantizedForTest options;
  options.affine = true;
  ExpectInt8MatchesOracle(Fused(Quantized(GetParam().build(&b), options)),
                          1.001, kTwoThreads);
}

INSTANTIATE_TEST_SUITE_P(AllKinds, OperatorTest, ::testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace quantserve::testing
