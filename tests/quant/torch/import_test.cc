// Each model here is imported, emitted again, quantized and run by both the
// TorchScript engine and the reference interpreter.
#include "quant/torch/import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "quant/base/memory.h"
#include "quant/plan/quantize_plan.h"
#include "quant/plan/reference.h"
#include "quant/torch/calibrate.h"
#include "quant/torch/emit.h"
#include "quant/torch/torch.h"
#include "quant/torch/wall.h"
#include "tests/testing/script_model.h"

namespace quantserve {
namespace {

using ::quantserve::testing::ScriptModel;

struct Case {
  std::string name;
  Shape sample_shape;
  std::function<void(ScriptModel*)> build;
  std::vector<std::string> ops;  // of the float plan, islands by operator
  double min_sqnr_db = 20;       // INT8 against FP32
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

double SqnrDb(const at::Tensor& want, const at::Tensor& got) {
  const double noise = (want - got).norm().item<double>();
  return 20 * std::log10(want.norm().item<double>() / std::max(noise, 1e-12));
}

std::vector<std::string> Ops(const Plan& plan) {
  std::vector<std::string> ops;
  for (const Node& node : plan.nodes) {
    if (const auto* island = std::get_if<IslandAttrs>(&node.attrs)) {
      ops.push_back(island->island->op());
    } else if (const auto* unary = std::get_if<UnaryAttrs>(&node.attrs)) {
      ops.push_back(unary->function);
    } else {
      ops.push_back(
          std::string(OpKindName(node.kind)) +
          (node.clamp && node.kind != OpKind::kClamp ? "+clamp" : ""));
    }
  }
  return ops;
}

class ImportTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    torch::manual_seed(7);
    GetParam().build(&model_);
    Shape shape = GetParam().sample_shape;
    shape.insert(shape.begin(), kSamples);
    input_ = torch::randn(shape);
    want_ = torch::jit::Module(model_.module())
                .forward({input_})
                .toTensor()
                .contiguous();
    auto frozen = FreezeModel(model_.module());
    ASSERT_TRUE(frozen.ok()) << frozen.status();
    auto plan = ImportPlan(&*frozen, {{GetParam().sample_shape}});
    ASSERT_TRUE(plan.ok()) << plan.status();
    plan_ = *std::move(plan);
  }

  at::Tensor RunEngine(const Engine& engine) {
    at::Tensor out = torch::empty_like(want_);
    auto context = engine.NewContext();
    EXPECT_TRUE(context.ok()) << context.status();
    const absl::Status status = (*context)->Run(
        kSamples, {input_.data_ptr<float>()}, {out.data_ptr<float>()});
    EXPECT_TRUE(status.ok()) << status;
    return out;
  }

  at::Tensor RunReferencePlan(const Plan& plan) {
    at::Tensor out = torch::empty_like(want_);
    const absl::Status status = RunReference(
        plan, kSamples, {input_.data_ptr<float>()}, {out.data_ptr<float>()});
    EXPECT_TRUE(status.ok()) << status;
    return out;
  }

  Shard InputShard() {
    Tensor samples(DType::kF32, input_.sizes().vec());
    std::memcpy(samples.data<float>(), input_.data_ptr<float>(),
                samples.bytes());
    return *Shard::Make("noise", std::move(samples), {});
  }

  static constexpr int64_t kSamples = 5;
  ScriptModel model_;
  Plan plan_;
  at::Tensor input_, want_;
};

TEST_P(ImportTest, BecomesThePlanItShould) {
  EXPECT_THAT(Ops(plan_), ::testing::ElementsAreArray(GetParam().ops))
      << plan_.DebugString();
}

TEST_P(ImportTest, FloatPlanComputesWhatTheModelComputes) {
  EXPECT_GT(SqnrDb(want_, RunReferencePlan(plan_)), 90) << plan_.DebugString();
  EngineOptions options;
  auto engine = CompileTorchScript(plan_, options);
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_GT(SqnrDb(want_, RunEngine(**engine)), 90);
}

TEST_P(ImportTest, QuantizedPlanStaysCloseAndEnginesAgree) {
  CalibrateOptions calibrate;
  calibrate.ranges.method = RangeMethod::kMinMax;
  auto calibration = Calibrate(plan_, InputShard(), {}, calibrate, {});
  ASSERT_TRUE(calibration.ok()) << calibration.status();
  Recipe recipe;
  recipe.ranges = calibration->Ranges(calibrate.ranges);
  recipe.bias_shifts =
      AnalyticBiasShifts(plan_, calibration->channel_means(), 8);
  auto quantized = QuantizePlan(plan_, recipe, {});
  ASSERT_TRUE(quantized.ok()) << quantized.status();
  EXPECT_EQ(quantized->outcomes.size(), plan_.nodes.size());

  const at::Tensor reference = RunReferencePlan(quantized->plan);
  EXPECT_GT(SqnrDb(want_, reference), GetParam().min_sqnr_db)
      << quantized->plan.DebugString();
  EngineOptions options;
  auto engine = CompileTorchScript(quantized->plan, options);
  ASSERT_TRUE(engine.ok()) << engine.status();
  const at::Tensor got = RunEngine(**engine);
  EXPECT_GT(SqnrDb(want_, got), GetParam().min_sqnr_db - 1);
  EXPECT_GT(SqnrDb(reference, got), GetParam().min_sqnr_db);
}

const Case kCases[] = {
    {"ConvBatchNormRelu",
     {3, 8, 8},
     [](ScriptModel* m) {
       m->Conv("c", 8, 3, 3).BatchNorm("n", 8).Linear("f", 4, 512);
       m->Forward(
           "x = torch.relu(self.n_apply(self.c_apply(x, 1, 1)))\n"
           "return self.f_apply(torch.flatten(x, 1))");
     },
     {"Conv2d+clamp", "Reshape", "Linear"},
     28},
    {"Residual",
     {8, 8, 8},
     [](ScriptModel* m) {
       m->Conv("a", 8, 8, 3).Conv("b", 8, 8, 3).Conv("d", 8, 8, 1);
       m->Forward(
           "y = torch.relu_(self.a_apply(x, 2, 1))\n"
           "y = self.b_apply(y, 1, 1)\n"
           "y += self.d_apply(x, 2, 0)\n"
           "y = torch.relu_(y)\n"
           "return torch.flatten(torch.adaptive_avg_pool2d(y, [1, 1]), 1)");
     },
     {"Conv2d+clamp", "Conv2d", "Conv2d", "Add+clamp", "AvgPool", "Reshape"},
     25},
    {"DepthwiseRelu6AndGroups",
     {8, 9, 9},
     [](ScriptModel* m) {
       m->Conv("d", 8, 1, 3).Conv("g", 12, 4, 3);
       m->Forward(
           "x = torch.clamp(self.d_apply(x, 2, 1, 8), 0., 6.)\n"
           "x = self.g_apply(x, 1, 0, 2)\n"
           "return x.mean([2, 3])");
     },
     {"Conv2d+clamp", "Conv2d", "AvgPool", "Reshape"},
     20},
    {"BatchNormBehindLinearAndAlone",
     {6},
     [](ScriptModel* m) {
       m->Linear("a", 8, 6).BatchNorm("n", 8).Linear("b", 4, 8);
       m->Forward(
           "x = torch.relu(self.n_apply(self.a_apply(x)))\n"
           "return self.b_apply(x)");
     },
     {"Linear+clamp", "Linear"},
     25},
    {"PreActivationBatchNorm",
     {4, 6, 6},
     [](ScriptModel* m) {
       m->BatchNorm("n", 4).Conv("c", 4, 4, 3);
       m->Forward(
           "x = torch.relu(self.n_apply(x))\n"
           "return self.c_apply(x, 1, 1)");
     },
     {"Conv2d+clamp", "Conv2d"},
     22},
    {"PoolsWithCeilAndPadding",
     {4, 11, 11},
     [](ScriptModel* m) {
       m->Conv("c", 4, 4, 3);
       m->Forward(
           "x = self.c_apply(x, 1, 1)\n"
           "x = torch.max_pool2d(x, [3, 3], [2, 2], [0, 0], [1, 1], True)\n"
           "x = torch.max_pool2d(x, [3, 3], [1, 1], [1, 1], [1, 1], False)\n"
           "return torch.avg_pool2d(x, [2, 2])");
     },
     {"Conv2d", "MaxPool", "MaxPool", "AvgPool"},
     22},
    {"OptionAShortcut",
     {4, 8, 8},
     [](ScriptModel* m) {
       m->Conv("a", 4, 4, 3).Conv("c", 8, 4, 3);
       m->Forward(
           "x = torch.relu(self.a_apply(x, 1, 1))\n"
           "y = self.c_apply(x, 2, 1)\n"
           "s = torch.constant_pad_nd(x[:, :, ::2, ::2], [0, 0, 0, 0, 2, 2])\n"
           "return torch.relu(y + s)");
     },
     {"Conv2d+clamp", "Conv2d", "Slice", "Slice", "Pad", "Add+clamp"},
     25},
    {"ConcatenationSharesOneGrid",
     {4, 6, 6},
     [](ScriptModel* m) {
       m->Conv("a", 4, 4, 1).Conv("b", 4, 4, 3).Conv("c", 4, 8, 1);
       m->Forward(
           "y = torch.cat([torch.relu(self.a_apply(x, 1, 0)),"
           " 3. * self.b_apply(x, 1, 1)], 1)\n"
           "return self.c_apply(y, 1, 0)");
     },
     // Freezing folds the factor into the weights.
     {"Conv2d+clamp", "Conv2d", "Concat", "Conv2d"},
     22},
    {"SqueezeAndExcite",
     {4, 6, 6},
     [](ScriptModel* m) {
       m->Conv("a", 4, 4, 3).Conv("s", 4, 4, 1);
       m->Forward(
           "x = torch.silu(self.a_apply(x, 1, 1))\n"
           "g = torch.sigmoid(self.s_apply("
           "torch.adaptive_avg_pool2d(x, [1, 1]), 1, 0))\n"
           "return x * g");
     },
     {"Conv2d", "silu", "AvgPool", "Conv2d", "sigmoid", "Mul"},
     22},
    {"SoftmaxIsAnIsland",
     {8},
     [](ScriptModel* m) {
       m->Linear("a", 8, 8).Linear("b", 4, 8);
       m->Forward(
           "x = torch.softmax(self.a_apply(x), 1)\n"
           "return self.b_apply(x)");
     },
     {"Linear", "aten::softmax", "Linear"},
     20},
    {"SizesBecomeConstantsOrTheBatch",
     {4, 6, 6},
     [](ScriptModel* m) {
       m->Conv("a", 4, 4, 3).Linear("f", 3, 144);
       m->Forward(
           "x = self.a_apply(x, 1, 1)\n"
           "x = x.view(x.size(0), x.size(1) * x.size(2) * x.size(3))\n"
           "return self.f_apply(x)");
     },
     {"Conv2d", "Reshape", "Linear"},
     22},
    {"PermutedAttentionStaysInsideItsIsland",
     {6, 8},
     [](ScriptModel* m) {
       m->Linear("q", 8, 8).Linear("v", 8, 8).Linear("o", 3, 8);
       m->Forward(
           "q = self.q_apply(x)\n"
           "v = self.v_apply(x).permute([1, 0, 2])\n"
           "a = torch.softmax(torch.matmul(q, q.transpose(1, 2)), 2)\n"
           "y = torch.matmul(a, v.permute([1, 0, 2]))\n"
           "return self.o_apply(y.mean(1))");
     },
     {"Linear", "Linear", "Permute", "aten::matmul+aten::softmax+aten::matmul",
      "Reshape", "AvgPool", "Reshape", "Linear"},
     15},
    {"BranchesOnShapesAreTaken",
     {8},
     [](ScriptModel* m) {
       m->Linear("a", 8, 8).Linear("b", 8, 8);
       m->Forward(
           "if x.dim() == 2 and x.size(1) > 4:\n"
           "  y = self.a_apply(x)\n"
           "else:\n"
           "  y = self.b_apply(x)\n"
           "return torch.relu(y)");
     },
     {"Linear+clamp"},
     25},
    {"OneDimensionIsAnImageOneRowHigh",
     {4, 16},
     [](ScriptModel* m) {
       m->Conv("a", 6, 4, 3).Conv("b", 6, 6, 3);
       m->Forward(
           "w = self.a_w[:, :, 0]\n"
           "y = torch.relu(torch.conv1d(x, w, self.a_b, [1], [1], [1], 1))\n"
           "y = torch.max_pool1d(y, [2], [2], [0], [1], False)\n"
           "z = torch.conv1d(y, self.b_w[:, :, 0], None, [1], [2], [2], 1)\n"
           "y = torch.silu(y + z)\n"
           "return torch.adaptive_avg_pool1d(y, [1])");
     },
     {"Reshape", "Conv2d+clamp", "MaxPool", "Conv2d", "Add", "silu", "AvgPool",
      "Reshape"},
     22},
    {"TransposedConvolutionIsAConvolutionOfPhases",
     {4, 5, 6},
     [](ScriptModel* m) {
       m->Conv("a", 4, 3, 3).Conv("b", 3, 2, 2);
       m->Forward(
           "x = torch.conv_transpose2d(x, self.a_w, None, [2, 2], [1, 1],"
           " [1, 1], 1, [1, 1])\n"
           "return torch.conv_transpose2d(x, self.b_w, self.b_b[:2], [2, 2],"
           " [0, 0], [0, 0], 1, [1, 1])");
     },
     {"Conv2d", "Reshape", "Permute", "Reshape", "Slice", "Conv2d", "Reshape",
      "Permute", "Reshape", "Slice"},
     22},
    {"TransposedConvolutionInOneDimension",
     {3, 7},
     [](ScriptModel* m) {
       m->Conv("a", 3, 4, 5);
       m->Forward(
           "return torch.conv_transpose1d(x, self.a_w[:, :, 0], "
           "self.a_b.repeat("
           "2)[:4], [3], [2], [0], 1, [1])");
     },
     {"Reshape", "Conv2d", "Reshape", "Permute", "Reshape", "Slice", "Reshape"},
     22},
    {"ChunksAndChannelShuffle",
     {4, 6, 6},
     [](ScriptModel* m) {
       m->Conv("a", 8, 4, 3).Conv("b", 4, 4, 3);
       m->Forward(
           "a, b = self.a_apply(x, 1, 1).chunk(2, 1)\n"
           "y = torch.cat([a, self.b_apply(b, 1, 1)], 1)\n"
           "y = y.view(y.size(0), 2, 4, y.size(2), y.size(3))\n"
           "y = y.transpose(1, 2).contiguous()\n"
           "y = y.view(y.size(0), -1, y.size(3), y.size(4))\n"
           "return y.split(4, 1)[1] + y.narrow(1, 2, 4)");
     },
     {"Conv2d", "Slice", "Slice", "Conv2d", "Concat", "Reshape", "Permute",
      "Reshape", "Slice", "Slice", "Add"},
     22},
    {"LayerScaleFoldsThroughAPermutation",
     {4, 6, 6},
     [](ScriptModel* m) {
       m->Conv("a", 4, 4, 3).Linear("f", 4, 4).BatchNorm("s", 4);
       m->Forward(
           "y = self.a_apply(x, 1, 1).permute([0, 2, 3, 1])\n"
           "y = self.f_apply(torch.relu(y)).permute([0, 3, 1, 2])\n"
           "y = y * self.s_w.view([4, 1, 1]) + self.s_b.view([1, 4, 1, 1])\n"
           "return y");
     },
     {"Conv2d", "Permute", "Clamp", "Linear", "Permute"},
     22},
    {"ScaleThatCannotFoldIsADepthwiseLayer",
     {4, 6, 6},
     [](ScriptModel* m) {
       m->Conv("a", 4, 4, 3).BatchNorm("s", 4);
       m->Forward(
           "y = self.a_apply(x, 1, 1)\n"
           "return y * self.s_w.view([4, 1, 1]) + torch.relu(y)");
     },
     {"Conv2d", "Conv2d", "Clamp", "Add"},
     22},
    {"ListsThatGrow",
     {4, 6, 6},
     [](ScriptModel* m) {
       m->Conv("a", 4, 4, 3).Conv("b", 4, 8, 3);
       m->Forward(
           "features = [x]\n"
           "features.append(self.a_apply(torch.cat(features, 1), 1, 1))\n"
           "features.append(self.b_apply(torch.cat(features, 1), 1, 1))\n"
           "return torch.cat(features, 1)");
     },
     {"Conv2d", "Concat", "Conv2d", "Concat"},
     22},
    {"MeansOverTokens",
     {6, 8},
     [](ScriptModel* m) {
       m->Linear("a", 8, 8).Linear("b", 3, 8);
       m->Forward(
           "x = self.a_apply(x)\n"
           "return self.b_apply(x.mean([1])) + x.mean([1, 2], True)[:, :, 0]");
     },
     {"Linear", "Reshape", "AvgPool", "Reshape", "Linear", "Reshape", "AvgPool",
      "Reshape", "Slice", "Reshape", "aten::add"},
     20},
    {"FusedAttentionIsTakenApart",
     {6, 8},
     [](ScriptModel* m) {
       m->Linear("q", 24, 8).Linear("o", 8, 8);
       m->Forward(
           "y, w = torch._native_multi_head_attention(x, x, x, 8, 2, self.q_w,"
           " self.q_b, self.o_w, self.o_b, None, False)\n"
           "return y");
     },
     {"Linear", "Slice", "Slice", "Slice", "Reshape", "Permute", "Reshape",
      "Permute", "Reshape", "Permute",
      "aten::matmul+aten::mul+aten::softmax+aten::matmul", "Permute", "Reshape",
      "Linear"},
     20},
    {"ControlFlowIsAnIsland",
     {8},
     [](ScriptModel* m) {
       m->Linear("a", 8, 8);
       m->Forward(
           "x = self.a_apply(x)\n"
           "if bool(x.sum() > 1e9):\n"
           "  y = x * 2.\n"
           "else:\n"
           "  y = torch.cumsum(x, 1)\n"
           "return y");
     },
     {"Linear", "aten::sum+aten::gt+prim::If"},
     25},
    {"WritesIntoSlicesRunAsAWhole",
     {8},
     [](ScriptModel* m) {
       m->Linear("a", 8, 8);
       m->Forward(
           "y = self.a_apply(x)\n"
           "y[:, 2:4] = 0.\n"
           "return torch.relu(y)");
     },
     {"whole model"},
     60},
};

INSTANTIATE_TEST_SUITE_P(Models, ImportTest, ::testing::ValuesIn(kCases),
                         [](const ::testing::TestParamInfo<Case>& c) {
                           return c.param.name;
                         });

TEST(ImportErrorsTest, SampleShapeThatTheModelDoesNotTakeIsRefused) {
  ScriptModel model;
  model.Conv("c", 4, 3, 3).Forward("return self.c_apply(x, 1, 1)");
  auto frozen = FreezeModel(model.module());
  ASSERT_TRUE(frozen.ok());
  const auto plan = ImportPlan(&*frozen, {{{1, 8, 8}}});
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(plan.status().message()),
              ::testing::HasSubstr("samples of shape [1,8,8]"));
}

TEST(ImportErrorsTest, OutputWithoutTheBatchIsRefused) {
  ScriptModel model;
  model.Linear("a", 4, 4).Forward("return self.a_apply(x).sum(0)");
  auto frozen = FreezeModel(model.module());
  ASSERT_TRUE(frozen.ok());
  const auto plan = ImportPlan(&*frozen, {{{4}}});
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(plan.status().message()),
              ::testing::HasSubstr("first dimension is the batch"));
}

TEST(ImportErrorsTest, ModelThatTakesMoreInputsThanTheSamplesHaveIsRefused) {
  ScriptModel model;
  model.Linear("a", 4, 4).Forward("return self.a_apply(x)");
  auto frozen = FreezeModel(model.module());
  ASSERT_TRUE(frozen.ok());
  const auto plan = ImportPlan(&*frozen, {{{4}}, {{4}}});
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(plan.status().message()),
              ::testing::HasSubstr("takes 1 inputs, the samples have 2"));
}

TEST(ImportErrorsTest, WhatTheScriptRaisesIsTheReason) {
  const std::runtime_error raised(
      "The following operation failed in the TorchScript interpreter.\n"
      "Traceback of TorchScript (most recent call last):\n"
      "  File \"model.py\", line 3, in forward\n"
      "    raise ValueError(\"want: 33 pixels\")\n"
      "    ~~~~~~~~~~~~~~~~~ <--- HERE\n"
      "builtins.ValueError: want: 33 pixels\n");
  EXPECT_EQ(FirstLine(raised), "want: 33 pixels");
}

TEST(ImportErrorsTest, WeightsWithoutCodeAreToldFromModels) {
  const std::string path =
      ::testing::TempDir() + "/state_dict." + std::to_string(getpid());
  const std::vector<char> bytes = torch::jit::pickle_save(torch::ones({3}));
  std::ofstream(path, std::ios::binary).write(bytes.data(), bytes.size());
  const auto model = TorchModel::Load(path, int64_t{1} << 30);
  std::filesystem::remove(path);
  EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(model.status().message()),
              ::testing::HasSubstr("is what torch.save writes"));
}

// The names that people know, from state_dict() and print(model).
TEST(ImportNamesTest, LayersAreCalledAsTheirModules) {
  ScriptModel conv;
  conv.Conv("c", 3, 3, 3).Forward("return self.c_apply(x, 1, 1)");
  torch::jit::Module block("Block"), top("Top");
  block.register_module("conv1", conv.module());
  block.define("def forward(self, x):\n  return self.conv1.forward(x) + x\n");
  top.register_module("0", conv.module().clone());
  top.register_module("layer", block);
  top.define(
      "def forward(self, x):\n"
      "  y = self.layer.forward(getattr(self, \"0\").forward(x))\n"
      "  return self.layer.forward(y).mean([2, 3])\n");
  auto frozen = FreezeModel(top);
  ASSERT_TRUE(frozen.ok()) << frozen.status();
  const auto plan = ImportPlan(&*frozen, {{{3, 8, 8}}});
  ASSERT_TRUE(plan.ok()) << plan.status();
  std::vector<std::string> names;
  for (const Node& node : plan->nodes) names.push_back(node.name);
  names.resize(5);  // the mean lies in no module
  EXPECT_THAT(names,
              ::testing::ElementsAre("0.conv2d", "layer.conv1", "layer.add",
                                     "layer.conv1#2", "layer.add#2"));
}

TEST(ImportErrorsTest, ModelLargerThanMemoryIsRefusedBeforeItIsRead) {
  const auto available = AvailableMemoryBytes();
  if (!available.ok()) GTEST_SKIP() << available.status();
  const std::string path =
      ::testing::TempDir() + "/larger_than_memory." + std::to_string(getpid());
  std::ofstream(path) << "PK\x03\x04";
  std::filesystem::resize_file(path, *available);  // sparse
  const auto model = TorchModel::Load(path, int64_t{1} << 60);
  std::filesystem::remove(path);
  EXPECT_EQ(model.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(model.status().message()),
              ::testing::HasSubstr("bytes are available"));
}

}  // namespace
}  // namespace quantserve
