// The engine as a whole: ladders, contexts, options, bad input.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "quant/base/cpu.h"
#include "tests/quant/onednn/engine_testing.h"

namespace quantserve::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Plan SmallNetwork() {
  PlanBuilder b(11);
  ValueId x = b.Conv(b.Input({1, 3, 16, 16}), {32, 3, 1, 1}, Relu());
  x = b.BasicBlock(x, 32, 1);
  x = b.BasicBlock(x, 64, 2);
  x = b.Flatten(b.GlobalAvgPool(x));
  return b.Build({b.Linear(x, 10)});
}

double Sqnr(const std::vector<float>& want, const std::vector<float>& got) {
  double signal = 0, noise = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    signal += want[i] * want[i];
    noise += (want[i] - got[i]) * (want[i] - got[i]);
  }
  return 10 * std::log10(signal / (noise + 1e-30));
}

TEST(OneDnnEngineTest, Fp32ResNet18MatchesReference) {
  const Plan plan = RandomResNet18(32);
  ExpectFp32MatchesOracle(plan, 1e-4);
}

// The engine's INT8 is no farther from FP32 than the plan's own meaning.
TEST(OneDnnEngineTest, Int8ResNet18IsAsNearToFp32AsItsPlan) {
  const Plan fp32 = RandomResNet18(32);
  const Plan int8 = Quantized(fp32, {8, 8, false});
  const auto engine = Compiled(int8, {8});
  ASSERT_NE(engine, nullptr);
  const auto inputs = RandomInputs(fp32, 8, 5);
  const Outputs want = RunOracle(fp32, 8, inputs);
  const Outputs oracle = RunOracle(int8, 8, inputs);
  const Outputs got = RunEngine(*engine, int8, 8, inputs);
  EXPECT_GT(Sqnr(want[0], got[0]), 20);
  EXPECT_GT(Sqnr(want[0], got[0]), Sqnr(want[0], oracle[0]) - 0.5);
}

TEST(OneDnnEngineTest, SaysWhatItRuns) {
  const auto fp32 = Compiled(SmallNetwork(), {1, 2});
  EXPECT_EQ(fp32->info().engine, "onednn");
  EXPECT_EQ(fp32->info().precision, "fp32");
  EXPECT_EQ(fp32->max_batch(), 2);
  ASSERT_EQ(fp32->inputs().size(), 1u);
  EXPECT_EQ(fp32->inputs()[0].shape, (Shape{3, 16, 16}));
  EXPECT_EQ(fp32->outputs()[0].shape, (Shape{10}));
  EXPECT_THAT(fp32->info().islands, IsEmpty());
  EXPECT_GT(fp32->info().weight_bytes, 0);
  EXPECT_GT(fp32->info().context_bytes, 0);
  const auto int8 = Compiled(Quantized(SmallNetwork(), {7, 2, false}));
  EXPECT_EQ(int8->info().precision, "int8");
  EXPECT_LT(int8->info().weight_bytes, fp32->info().weight_bytes);
}

TEST(OneDnnEngineTest, NamesIslands) {
  PlanBuilder b(2);
  const ValueId x = b.Conv(b.Input({1, 3, 8, 8}), {8, 3, 1, 1});
  const auto engine = Compiled(b.Build({b.Unary(b.Island(x), "silu")}));
  EXPECT_THAT(engine->info().islands,
              ::testing::ElementsAre("test::twice", "silu"));
}

// Rows beyond the batch that was asked for are not written.
TEST(OneDnnEngineTest, WritesOnlyTheBatchThatWasAskedFor) {
  const Plan plan = SmallNetwork();
  const auto engine = Compiled(plan, {4});
  const auto inputs = RandomInputs(plan, 3, 1);
  std::vector<float> logits(4 * 10, -7.0f);
  auto context = engine->NewContext();
  ASSERT_TRUE((*context)->Run(3, {inputs[0].data()}, {logits.data()}).ok());
  for (int i = 30; i < 40; ++i) EXPECT_EQ(logits[i], -7.0f);
}

// A context that ran a large batch still runs a small one right: the batch
// sizes share one arena.
TEST(OneDnnEngineTest, BatchSizesShareAnArena) {
  const Plan plan = Quantized(SmallNetwork());
  const auto engine = Compiled(plan, {1, 2, 8});
  auto context = engine->NewContext();
  for (int64_t batch : {8, 1, 5, 2, 1, 8}) {
    const auto inputs = RandomInputs(plan, batch, 40 + batch);
    Outputs got = EmptyOutputs(plan, batch);
    ASSERT_TRUE((*context)->Run(batch, Pointers(inputs), Pointers(&got)).ok());
    EXPECT_EQ(got, RunEngine(*engine, plan, batch, inputs)) << batch;
  }
}

TEST(OneDnnEngineTest, ContextsRunAtTheSameTime) {
  const Plan plan = Quantized(SmallNetwork());
  const auto engine = Compiled(plan, {1, 4});
  constexpr int kThreads = 4, kRuns = 200;
  std::vector<std::vector<std::vector<float>>> inputs;
  std::vector<Outputs> want;
  for (int t = 0; t < kThreads; ++t) {
    inputs.push_back(RandomInputs(plan, 1 + t % 4, t));
    want.push_back(RunEngine(*engine, plan, 1 + t % 4, inputs.back()));
  }
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      auto context = engine->NewContext();
      Outputs got = EmptyOutputs(plan, 1 + t % 4);
      for (int run = 0; run < kRuns; ++run) {
        const absl::Status status =
            (*context)->Run(1 + t % 4, Pointers(inputs[t]), Pointers(&got));
        if (!status.ok() || got != want[t]) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(OneDnnEngineTest, TwoThreadsComputeWhatOneComputes) {
  const Plan plan = Quantized(SmallNetwork());
  const auto one = Compiled(plan, {1}, {}, 1);
  const auto two = Compiled(plan, {1}, {}, kTwoThreads);
  const auto inputs = RandomInputs(plan, 1, 3);
  const Outputs a = RunEngine(*one, plan, 1, inputs);
  const Outputs b = RunEngine(*two, plan, 1, inputs);
  EXPECT_LE(MaxSteps(a[0], b[0], MaxAbs(a[0])), 0.02);
}

TEST(OneDnnEngineTest, RefusesBadBatchesAndCounts) {
  const Plan plan = SmallNetwork();
  const auto engine = Compiled(plan, {1, 2});
  const auto inputs = RandomInputs(plan, 4, 1);
  std::vector<float> logits(40);
  auto context = engine->NewContext();
  for (int64_t batch : {-1, 0, 3}) {
    const absl::Status status =
        (*context)->Run(batch, {inputs[0].data()}, {logits.data()});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("takes 1 to 2"))
        << batch;
  }
  EXPECT_EQ((*context)->Run(1, {}, {logits.data()}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ((*context)->Run(1, {inputs[0].data()}, {}).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(OneDnnEngineTest, RefusesBadLaddersAndThreads) {
  const Plan plan = SmallNetwork();
  for (const std::vector<int64_t>& ladder :
       {std::vector<int64_t>{}, {0, 1}, {2, 1}, {1, 1}}) {
    EngineOptions options;
    options.ladder = ladder;
    EXPECT_EQ(CompileOneDnn(plan, options, {}).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  EngineOptions options;
  options.threads = 0;
  EXPECT_EQ(CompileOneDnn(plan, options, {}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(OneDnnEngineTest, RefusesShapesThatAreNotOfOneSample) {
  Plan plan = SmallNetwork();
  plan.values[0].shape[0] = 2;
  const auto engine = CompileOneDnn(plan, {}, {});
  EXPECT_EQ(engine.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(engine.status().message()),
              HasSubstr("has shape [2,3,16,16], want [1,...]"));
}

TEST(OneDnnEngineTest, RefusesInvalidPlans) {
  Plan plan = SmallNetwork();
  plan.nodes[0].inputs[0] = 1;
  EXPECT_EQ(CompileOneDnn(plan, {}, {}).status().code(),
            absl::StatusCode::kInternal);
}

TEST(OneDnnEngineTest, KeptChoicesNeedNoMeasurements) {
  const Plan plan = SmallNetwork();
  const auto first = Compiled(plan, {1, 2});
  EXPECT_GT(first->measurements(), 0);
  OneDnnOptions options;
  options.choices_json = first->choices_json();
  const auto second = Compiled(plan, {1, 2}, options);
  EXPECT_EQ(second->measurements(), 0);
  EXPECT_EQ(second->choices_json(), first->choices_json());
  const auto inputs = RandomInputs(plan, 2, 8);
  EXPECT_EQ(RunEngine(*first, plan, 2, inputs),
            RunEngine(*second, plan, 2, inputs));
}

TEST(OneDnnEngineTest, MeasuresOnlyWhatTheChoicesLack) {
  const Plan plan = SmallNetwork();
  OneDnnOptions options;
  options.choices_json = Compiled(plan, {1})->choices_json();
  const auto both = Compiled(plan, {1, 2}, options);
  EXPECT_GT(both->measurements(), 0);
  EXPECT_TRUE(absl::StrContains(both->choices_json(), " b2 "));
}

TEST(OneDnnEngineTest, IgnoresChoicesThatDoNotFit) {
  const Plan plan = SmallNetwork();
  std::string other = Compiled(plan)->choices_json();
  const size_t at = other.find("\"threads\": 1");
  ASSERT_NE(at, std::string::npos);
  other.replace(at, 12, "\"threads\": 2");
  for (const std::string& json : {std::string("{"), std::string("[]"),
                                  std::string("{\"choices\":7}"), other}) {
    OneDnnOptions options;
    options.choices_json = json;
    EXPECT_GT(Compiled(plan, {1}, options)->measurements(), 0) << json;
  }
}

// A kernel's name from another build of the library is no reason to fail.
TEST(OneDnnEngineTest, MeasuresWhereAKeptKernelIsGone) {
  const Plan plan = SmallNetwork();
  auto json = nlohmann::json::parse(Compiled(plan)->choices_json());
  for (auto& candidate : json["choices"]) {
    candidate = candidate.get<std::string>() + "-of-another-version";
  }
  OneDnnOptions options;
  options.choices_json = json.dump();
  const auto engine = Compiled(plan, {1}, options);
  ASSERT_NE(engine, nullptr);
  EXPECT_GT(engine->measurements(), 0);
}

TEST(OneDnnEngineTest, BatchSizesShareWeights) {
  const Plan plan = Quantized(SmallNetwork());
  const int64_t one = Compiled(plan, {1})->info().weight_bytes;
  const int64_t four = Compiled(plan, {1, 2, 4, 8})->info().weight_bytes;
  EXPECT_LT(four, 3 * one);
}

TEST(OneDnnEngineTest, RefusesBf16OfAQuantizedPlan) {
  OneDnnOptions options;
  options.bf16 = true;
  EXPECT_EQ(
      CompileOneDnn(Quantized(SmallNetwork()), {}, options).status().code(),
      absl::StatusCode::kFailedPrecondition);
}

TEST(OneDnnEngineTest, Bf16IsNearFp32) {
  OneDnnOptions options;
  options.bf16 = true;
  const Plan plan = SmallNetwork();
  if (!Cpu().avx512_bf16) {
    EXPECT_EQ(CompileOneDnn(plan, {}, options).status().code(),
              absl::StatusCode::kFailedPrecondition);
    return;
  }
  const auto engine = Compiled(plan, {1, 4}, options);
  EXPECT_EQ(engine->info().precision, "bf16");
  for (int64_t batch : {1, 3}) {
    const auto inputs = RandomInputs(plan, batch, 17);
    const Outputs want = RunOracle(plan, batch, inputs);
    const Outputs got = RunEngine(*engine, plan, batch, inputs);
    EXPECT_GT(Sqnr(want[0], got[0]), 30);
    EXPECT_LT(Sqnr(want[0], got[0]), 80) << "that would be FP32";
  }
}

// 8-bit products without VNNI saturate in 16 bits unless the weights are
// small. Run with ONEDNN_MAX_CPU_ISA to see the other branch.
TEST(OneDnnEngineTest, SaysWhereItAvoidsSaturation) {
  const auto wide = Compiled(Quantized(SmallNetwork(), {8, 2, false}));
  const auto narrow = Compiled(Quantized(SmallNetwork(), {7, 2, false}));
  if (Cpu().vnni) {
    EXPECT_THAT(wide->info().notes, IsEmpty());
  } else {
    ASSERT_THAT(wide->info().notes, Not(IsEmpty()));
    EXPECT_THAT(wide->info().notes[0], HasSubstr("no VNNI"));
  }
  for (const std::string& note : narrow->info().notes) {
    EXPECT_THAT(note, Not(HasSubstr("no VNNI")));
  }
  const Plan plan = Quantized(SmallNetwork(), {7, 2, false});
  const auto inputs = RandomInputs(plan, 1, 21);
  EXPECT_GT(Sqnr(RunOracle(plan, 1, inputs)[0],
                 RunEngine(*narrow, plan, 1, inputs)[0]),
            25);
}

TEST(OneDnnEngineTest, ProfilesEveryStep) {
  const auto engine = Compiled(SmallNetwork(), {1, 2});
  const auto profile = engine->Profile(2, 5);
  ASSERT_TRUE(profile.ok()) << profile.status();
  EXPECT_GT(profile->size(), 8u);
  for (const StepTime& step : *profile) {
    EXPECT_FALSE(step.name.empty());
    EXPECT_GT(step.seconds, 0);
  }
  EXPECT_EQ(engine->Profile(3, 5).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace quantserve::testing
