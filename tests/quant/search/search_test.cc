// Recipes are found on held-out samples, and only what helps is kept.
#include "quant/search/search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "quant/plan/passes/equalize.h"
#include "quant/plan/quantize_plan.h"
#include "quant/search/bias_correction.h"
#include "quant/search/equalization.h"
#include "quant/search/layer_facts.h"
#include "quant/search/shard_notes.h"
#include "quant/torch/observe.h"
#include "quant/torch/torch.h"
#include "tests/quant/search/scaled_net.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;
using testing::ScaledNet;
using testing::ScaledNetShard;

Plan Import(const testing::ScriptModel& model, const Shape& shape) {
  const std::string path = (std::filesystem::path(::testing::TempDir()) /
                            absl::StrCat("search_test.", getpid(), ".pt"))
                               .string();
  model.Save(path);
  const auto loaded = TorchModel::Load(path, int64_t{1} << 30);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  auto plan = (*loaded)->Import({{shape}});
  EXPECT_TRUE(plan.ok()) << plan.status();
  std::filesystem::remove(path);
  return *std::move(plan);
}

Plan ScaledPlan(double factor) {
  return Import(ScaledNet(factor),
                {3, testing::kScaledSize, testing::kScaledSize});
}

const TrialReport* FindTrial(const FoundRecipe& found,
                             const std::string& what) {
  for (const TrialReport& trial : found.trials) {
    if (trial.what.find(what) != std::string::npos) return &trial;
  }
  return nullptr;
}

// The mean of each output over samples [first, first + count).
std::vector<double> MeanOutputs(const Plan& plan, const Shard& shard,
                                int64_t first, int64_t count) {
  ObserveOptions options;
  options.values = plan.outputs;
  const auto observer = Observer::Make(plan, options);
  EXPECT_TRUE(observer.ok()) << observer.status();
  std::vector<double> means(plan.value(plan.outputs[0]).elements());
  const absl::Status run = (*observer)->RunAll(
      shard, {}, first, count, {}, "test",
      [&](ValueId, absl::Span<const float> values) {
        for (size_t i = 0; i < values.size(); ++i) {
          means[i % means.size()] += values[i] / static_cast<double>(count);
        }
        return absl::OkStatus();
      });
  EXPECT_TRUE(run.ok()) << run;
  return means;
}

double Distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

TEST(FindRecipeTest, AutoKeepsTheRangesThatAreBestOnHeldOutSamples) {
  const Plan plan = ScaledPlan(1);
  SearchOptions options;
  options.ranges.method = RangeMethod::kAuto;
  options.bias_correction = BiasCorrection::kNone;
  const auto found = FindRecipe(plan, ScaledNetShard(256), {}, options, {});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_NE(found->ranges.method, RangeMethod::kAuto);
  int kept = 0;
  double best = -1000, chosen = 0;
  for (const TrialReport& trial : found->trials) {
    if (trial.what.find("ranges ") != 0) continue;
    best = std::max(best, trial.sqnr_db);
    if (trial.kept) chosen = trial.sqnr_db;
    kept += trial.kept ? 1 : 0;
  }
  EXPECT_EQ(kept, 1);
  EXPECT_EQ(chosen, best);
  for (const char* method : {"mse", "minmax", "moving_average", "entropy",
                             "percentile 99.99", "percentile 99.999"}) {
    EXPECT_NE(FindTrial(*found, absl::StrCat("ranges ", method)), nullptr)
        << method;
  }
}

TEST(FindRecipeTest, EqualizationHelpsTheScaledNetAndIsKept) {
  const auto found =
      FindRecipe(ScaledPlan(50), ScaledNetShard(256), {}, {}, {});
  ASSERT_TRUE(found.ok()) << found.status();
  const TrialReport* equalized = FindTrial(*found, "equalization");
  ASSERT_NE(equalized, nullptr);
  EXPECT_TRUE(equalized->kept);
  EXPECT_FALSE(found->recipe.equalizations.empty());
  EXPECT_GT(equalized->sqnr_db, FindTrial(*found, "ranges mse")->sqnr_db + 6);
}

TEST(FindRecipeTest, EqualizedPlanComputesTheSameInFp32) {
  const Plan plan = ScaledPlan(50);
  const auto equalized = Equalize(plan, FindEqualizations(plan));
  ASSERT_TRUE(equalized.ok()) << equalized.status();
  const Shard shard = ScaledNetShard(8);
  const auto want = MeanOutputs(plan, shard, 3, 1);
  EXPECT_LT(Distance(want, MeanOutputs(*equalized, shard, 3, 1)),
            1e-5 * Distance(want, std::vector<double>(want.size())));
  // And its channels have the ranges that the formula wants.
  for (const LayerPair& pair : EqualizablePairs(*equalized)) {
    const auto r1 = OutputRanges(equalized->nodes[pair.first]);
    const auto r2 = InputRanges(equalized->nodes[pair.second]);
    for (size_t c = 0; c < r1.size(); ++c) {
      EXPECT_NEAR(r1[c] / r2[c], 1, 0.02) << pair.first << " " << c;
    }
  }
}

TEST(FindRecipeTest, NothingIsKeptThatHurts) {
  for (const double factor : {1.0, 50.0}) {
    const auto found =
        FindRecipe(ScaledPlan(factor), ScaledNetShard(256), {}, {}, {});
    ASSERT_TRUE(found.ok()) << found.status();
    for (const TrialReport& trial : found->trials) {
      EXPECT_LE(trial.kept ? trial.sqnr_db : -1000, found->score.sqnr_db)
          << trial.what;
      EXPECT_LE(trial.sqnr_db, found->score.sqnr_db + 0.1) << trial.what;
    }
  }
}

TEST(FindRecipeTest, EmpiricalCorrectionReducesTheMeanError) {
  const Plan plan = ScaledPlan(1);
  const Shard shard = ScaledNetShard(256);
  SearchOptions options;
  options.ranges.method = RangeMethod::kMinMax;
  options.bias_correction = BiasCorrection::kNone;
  options.equalize = EqualizeMode::kOff;
  options.weight_bits = 7;  // an error worth correcting
  const auto plain = FindRecipe(plan, shard, {}, options, {});
  ASSERT_TRUE(plain.ok()) << plain.status();
  Recipe corrected = plain->recipe;
  const auto shifts =
      EmpiricalBiasShifts(plan, plain->recipe, shard, {}, {}, {});
  ASSERT_TRUE(shifts.ok()) << shifts.status();
  EXPECT_EQ(shifts->size(), 4u);
  corrected.bias_shifts = *shifts;
  // On the samples behind those that the shifts were measured on.
  const auto want = MeanOutputs(plan, shard, 64, 192);
  const auto error = [&](const Recipe& recipe) {
    const auto quantized = QuantizePlan(plan, recipe, {});
    EXPECT_TRUE(quantized.ok()) << quantized.status();
    return Distance(want, MeanOutputs(quantized->plan, shard, 64, 192));
  };
  EXPECT_LT(error(corrected), 0.5 * error(plain->recipe));
}

TEST(FindRecipeTest, SameArgumentsGiveTheSameRecipe) {
  const Plan plan = ScaledPlan(50);
  const Shard shard = ScaledNetShard(64);
  SearchOptions options;
  options.ranges.method = RangeMethod::kAuto;
  options.budget.min_sqnr_db = 40;
  const auto a = FindRecipe(plan, shard, {}, options, {});
  const auto b = FindRecipe(plan, shard, {}, options, {});
  ASSERT_TRUE(a.ok() && b.ok()) << a.status() << b.status();
  EXPECT_EQ(a->recipe.bias_shifts, b->recipe.bias_shifts);
  EXPECT_EQ(a->recipe.keep_float, b->recipe.keep_float);
  ASSERT_EQ(a->recipe.equalizations.size(), b->recipe.equalizations.size());
  for (size_t i = 0; i < a->recipe.equalizations.size(); ++i) {
    EXPECT_EQ(a->recipe.equalizations[i].factors,
              b->recipe.equalizations[i].factors);
  }
  for (const auto& [name, range] : a->recipe.ranges) {
    EXPECT_EQ(range.affine.lo, b->recipe.ranges.at(name).affine.lo);
    EXPECT_EQ(range.affine.hi, b->recipe.ranges.at(name).affine.hi);
  }
}

TEST(FindRecipeTest, StopsWhereverItIsCancelled) {
  const Plan plan = ScaledPlan(50);
  const Shard shard = ScaledNetShard(32);
  SearchOptions options;
  options.ranges.method = RangeMethod::kAuto;
  options.budget.min_sqnr_db = 45;
  std::vector<std::string> phases;
  JobControl count;
  count.on_progress = [&](const Progress& p) { phases.push_back(p.phase); };
  ASSERT_TRUE(FindRecipe(plan, shard, {}, options, count).ok());
  for (const char* phase :
       {"ranges", "histograms", "search", "equalize", "bias", "budget"}) {
    const auto first = std::find(phases.begin(), phases.end(), phase);
    ASSERT_NE(first, phases.end()) << phase;
    const auto stop_after = static_cast<size_t>(first - phases.begin()) + 1;
    size_t reports = 0;
    JobControl control;
    control.on_progress = [&](const Progress&) { ++reports; };
    control.cancelled = [&] { return reports >= stop_after; };
    EXPECT_EQ(FindRecipe(plan, shard, {}, options, control).status().code(),
              absl::StatusCode::kCancelled)
        << phase;
    EXPECT_EQ(reports, stop_after) << phase;
  }
}

TEST(FindRecipeTest, ASingleSampleIsEnough) {
  SearchOptions options;
  options.ranges.method = RangeMethod::kAuto;
  const auto found =
      FindRecipe(ScaledPlan(1), ScaledNetShard(1), {}, options, {});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_GT(found->score.sqnr_db, 10);
  EXPECT_THAT(found->notes,
              ::testing::ElementsAre(HasSubstr("has one sample")));
}

// Samples that say little are used, and a note says how little.
TEST(ShardNotesTest, NameWhatIsPoorAboutTheSamples) {
  constexpr int64_t kSamples = 400;
  const auto notes = [](bool same, std::vector<int64_t> labels) {
    Tensor samples(DType::kF32, {kSamples, 2});
    for (int64_t i = 0; !same && i < kSamples; ++i) {
      samples.data<float>()[2 * i] = static_cast<float>(i);
    }
    const auto shard =
        Shard::Make("s.npz", std::move(samples), std::move(labels));
    EXPECT_TRUE(shard.ok()) << shard.status();
    return NotesOnShard(*shard, SplitShard(kSamples, 512), 10);
  };
  std::vector<int64_t> labels(kSamples, 7);
  EXPECT_THAT(notes(false, {}), ::testing::IsEmpty());
  EXPECT_THAT(notes(true, {}), ::testing::ElementsAre(HasSubstr(
                                   "all samples of shard \"s.npz\" are the")));
  EXPECT_THAT(notes(false, labels),
              ::testing::ElementsAre(HasSubstr("are 7: ranges may miss")));
  labels[0] = 3;
  EXPECT_THAT(notes(false, labels), ::testing::IsEmpty());
  labels.back() = 10;
  EXPECT_THAT(notes(false, labels),
              ::testing::ElementsAre(HasSubstr(
                  "sample 399 of shard \"s.npz\" has the label 10, the model "
                  "has 10 outputs")));
}

TEST(FindRecipeTest, AModelThatMakesNaNIsNamedWithItsOperator) {
  testing::ScriptModel model;
  model.Linear("a", 4, 4).Forward("return torch.log(self.a_apply(x) - 1e6)");
  auto shard = Shard::Make("s.npz", Tensor(DType::kF32, {8, 4}), {});
  ASSERT_TRUE(shard.ok()) << shard.status();
  const auto found = FindRecipe(Import(model, {4}), *shard, {}, {}, {});
  EXPECT_EQ(found.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(
      std::string(found.status().message()),
      ::testing::AllOf(HasSubstr("the model on shard \"s.npz\": value"),
                       HasSubstr("of log: "), HasSubstr("NaN or infinite")));
}

TEST(FindRecipeTest, UnknownLayersToKeepAreNamed) {
  SearchOptions options;
  options.keep_float["nonsense"] = "asked for";
  const auto found =
      FindRecipe(ScaledPlan(1), ScaledNetShard(4), {}, options, {});
  EXPECT_EQ(found.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(found.status().message()), HasSubstr("\"nonsense\""));
}

TEST(LayerFactsTest, TellTheCulpritFromTheOthers) {
  const Plan plan = ScaledPlan(50);
  const Shard shard = ScaledNetShard(64);
  SearchOptions options;
  options.equalize = EqualizeMode::kOff;
  const auto found = FindRecipe(plan, shard, {}, options, {});
  ASSERT_TRUE(found.ok()) << found.status();
  const auto quantized = QuantizePlan(plan, found->recipe, {});
  ASSERT_TRUE(quantized.ok());
  QuantizationReport report;
  FillLayers(plan, quantized->outcomes, &report);
  const absl::Status filled =
      FillActivations(plan, *found, quantized->plan, shard, {}, {}, &report);
  ASSERT_TRUE(filled.ok()) << filled;
  EXPECT_EQ(report.int8_macs_share, 1);
  ASSERT_EQ(report.layers.size(), plan.nodes.size());
  int64_t macs = 0;
  for (const LayerReport& layer : report.layers) {
    macs += layer.macs;
    ASSERT_TRUE(layer.activation) << layer.name;
    ASSERT_TRUE(layer.local_sqnr_db && layer.cumulative_sqnr_db) << layer.name;
    EXPECT_GT(*layer.local_sqnr_db, 0) << layer.name;
    EXPECT_FALSE(layer.activation->histogram.counts.empty());
    EXPECT_GE(layer.activation->clipped_share, 0);
    EXPECT_LT(layer.activation->clipped_share, 0.05);
    EXPECT_GT(layer.activation->range.hi, 0);
  }
  EXPECT_EQ(macs, plan.Macs());
  // The depthwise convolution reads what the scaled channels share a grid with.
  EXPECT_LT(*report.layers[1].local_sqnr_db,
            *report.layers[2].local_sqnr_db - 6);
}

}  // namespace
}  // namespace quantserve
