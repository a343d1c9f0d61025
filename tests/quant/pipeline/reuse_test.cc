// No work done twice: the second quantization of the same inputs loads what the
// first one decided, and nothing else ever does.
#include "quant/pipeline/reuse.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quant/pipeline/artifact_store.h"
#include "quant/pipeline/pipeline.h"
#include "quant/torch/torch.h"
#include "tests/testing/plan_builder.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ReuseTest : public ::testing::Test {
 protected:
  ReuseTest()
      : root_(fs::path(::testing::TempDir()) /
              absl::StrCat("reuse.", getpid())) {
    fs::create_directories(root_);
    SaveModel(1);
    model_.path = (root_ / "model.pt").string();
    model_.inputs = {{{3, 8, 8}}};
    model_.engine.ladder = {1};
    model_.engine_choice = EngineChoice::kOneDnn;
    model_.cache_dir = (root_ / "cache").string();
    model_.artifact_dir = (root_ / "artifacts").string();
    options_.samples = 24;
    options_.bias_correction = BiasCorrection::kAnalytic;  // always has shifts
  }
  ~ReuseTest() override { fs::remove_all(root_); }

  void SaveModel(uint32_t seed) const {
    testing::PlanBuilder b(seed);
    ValueId x = b.Conv(b.Input({1, 3, 8, 8}), {16, 3, 1, 1});
    x = b.Flatten(b.GlobalAvgPool(b.BasicBlock(x, 16, 1)));
    const absl::Status saved = SaveTorchScript(
        b.Build({b.Linear(x, 4)}), (root_ / "model.pt").string(), {});
    EXPECT_TRUE(saved.ok()) << saved;
  }

  // 32 samples; `changed` is a byte that is another one.
  static Shard MakeShard(int64_t changed = -1, int64_t label = 0,
                         const char* name = "shard") {
    constexpr int64_t kSamples = 32;
    Tensor samples(DType::kU8, {kSamples, 3, 8, 8});
    for (int64_t i = 0; i < samples.elements(); ++i) {
      samples.data<uint8_t>()[i] =
          static_cast<uint8_t>(i * 37 + i / 7 + (i == changed ? 1 : 0));
    }
    std::vector<int64_t> labels(kSamples);
    labels[5] = label;
    return *Shard::Make(name, std::move(samples), std::move(labels));
  }

  // A start of the program.
  QuantizedVariant Quantize(const Shard& shard) const {
    const auto pipeline = OpenModel(model_);
    EXPECT_TRUE(pipeline.ok()) << pipeline.status();
    auto quantized = (*pipeline)->Quantize(options_, shard, {});
    EXPECT_TRUE(quantized.ok()) << quantized.status();
    return *std::move(quantized);
  }
  QuantizedVariant Quantize() const { return Quantize(MakeShard()); }

  static std::vector<std::string> Phases(const QuantizationReport& report) {
    std::vector<std::string> phases;
    for (const auto& phase : report.phases) phases.push_back(phase.first);
    return phases;
  }
  // Calibrates, says why, and keeps the result.
  void ExpectAnew(const Shard& shard, const std::string& reason) const {
    const QuantizationReport report = Quantize(shard).report;
    EXPECT_THAT(report.artifact, HasSubstr(reason));
    EXPECT_THAT(Phases(report), Contains("calibrate"));
    EXPECT_EQ(Quantize(shard).report.artifact, "loaded") << reason;
  }
  static std::vector<float> Outputs(const CompiledVariant& variant,
                                    const Shard& shard) {
    std::vector<float> in(shard.sample_elements()), out(4);
    shard.Copy(0, 1, {}, absl::MakeSpan(in));
    auto context = variant.engine->NewContext();
    EXPECT_TRUE(context.ok()) << context.status();
    float* outputs[] = {out.data()};
    EXPECT_TRUE((*context)->Run(1, {in.data()}, absl::MakeSpan(outputs)).ok());
    return out;
  }
  std::vector<fs::path> Kept() const {
    std::vector<fs::path> files;
    for (const auto& file : fs::directory_iterator(model_.artifact_dir)) {
      files.push_back(file.path());
    }
    return files;
  }
  // The only artifact that is kept, changed by whoever knows how.
  void Tamper(const std::function<void(Artifact*)>& change) const {
    ASSERT_EQ(Kept().size(), 1u);
    std::ifstream in(Kept()[0], std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    auto artifact = ParseArtifact(text);
    ASSERT_TRUE(artifact.ok()) << artifact.status();
    fs::remove(Kept()[0]);
    change(&*artifact);
    const absl::Status put = ArtifactStore(model_.artifact_dir).Put(*artifact);
    ASSERT_TRUE(put.ok()) << put;
  }

  const fs::path root_;
  ModelOptions model_;
  QuantizeOptions options_;
};

TEST_F(ReuseTest, TheSecondStartLoads) {
  const Shard shard = MakeShard();
  const QuantizedVariant first = Quantize(shard);
  EXPECT_EQ(first.report.artifact, "no artifact is kept yet");
  EXPECT_THAT(Phases(first.report),
              ElementsAre("load", "calibrate", "convert", "compile"));
  // Another name for the same samples.
  const QuantizedVariant second = Quantize(MakeShard(-1, 0, "renamed"));
  EXPECT_EQ(second.report.artifact, "loaded");
  EXPECT_THAT(Phases(second.report), ElementsAre("load", "compile"));
  EXPECT_EQ(second.report.digest, first.report.digest);
  EXPECT_EQ(second.report.digest.size(), 64u);
  EXPECT_EQ(second.report.shard, "renamed");
  EXPECT_EQ(Outputs(second.variant, shard), Outputs(first.variant, shard));
  // It can still tell the whole report.
  EXPECT_EQ(second.report.range_method, first.report.range_method);
  EXPECT_EQ(second.report.samples, 24);
  EXPECT_EQ(second.report.notes, first.report.notes);
  ASSERT_EQ(second.report.layers.size(), first.report.layers.size());
  for (size_t i = 0; i < first.report.layers.size(); ++i) {
    EXPECT_EQ(second.report.layers[i].name, first.report.layers[i].name);
    EXPECT_EQ(second.report.layers[i].quantized,
              first.report.layers[i].quantized);
  }
}

TEST_F(ReuseTest, TwoQuantizationsHaveTheSameDigest) {
  model_.artifact_dir.clear();
  for (const RangeMethod method :
       {RangeMethod::kMinMax, RangeMethod::kMovingAverage,
        RangeMethod::kPercentile, RangeMethod::kMse}) {
    options_.ranges.method = method;
    const QuantizationReport first = Quantize().report;
    EXPECT_EQ(first.artifact, "no artifacts are kept");
    EXPECT_EQ(Quantize().report.digest, first.digest);
  }
}

TEST_F(ReuseTest, AskedForAnewItCalibrates) {
  const std::string digest = Quantize().report.digest;
  options_.force = true;
  const QuantizationReport report = Quantize().report;
  EXPECT_EQ(report.artifact, "it was asked for anew");
  EXPECT_THAT(Phases(report), ElementsAre("calibrate", "convert", "compile"));
  EXPECT_EQ(report.digest, digest);
  options_.force = false;
  EXPECT_EQ(Quantize().report.artifact, "loaded");
}

TEST_F(ReuseTest, AnotherModelIsQuantizedAnew) {
  Quantize();
  SaveModel(2);
  ExpectAnew(MakeShard(), "model.sha256 is ");
  // One byte behind the archive, which LibTorch may well ignore.
  std::ifstream in(model_.path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  bytes += '\0';
  std::ofstream(model_.path, std::ios::binary | std::ios::trunc) << bytes;
  if (OpenModel(model_).ok()) ExpectAnew(MakeShard(), "model.sha256 is ");
}

TEST_F(ReuseTest, AnotherShardIsQuantizedAnew) {
  Quantize();
  ExpectAnew(MakeShard(/*changed=*/100), "calibration.shard_sha256 is ");
  ExpectAnew(MakeShard(-1, /*label=*/3), "calibration.shard_sha256 is ");
}

TEST_F(ReuseTest, AnyOtherOptionIsQuantizedAnew) {
  Quantize();
  const std::pair<std::function<void(ModelOptions*, QuantizeOptions*)>,
                  const char*>
      cases[] = {
          {[](ModelOptions*, QuantizeOptions* o) { o->samples = 23; },
           "calibration.samples is 23, was 24"},
          {[](ModelOptions*, QuantizeOptions* o) { o->batch = 8; },
           "calibration.batch is 8, was 32"},
          {[](ModelOptions*, QuantizeOptions* o) {
             o->ranges.method = RangeMethod::kMinMax;
           },
           "calibration.range_method is minmax, was mse"},
          {[](ModelOptions*, QuantizeOptions* o) {
             o->ranges.percentile = 99.9;
           },
           "calibration.percentile is 99.9, was 99.99"},
          {[](ModelOptions*, QuantizeOptions* o) { o->ranges.averaging = 0.5; },
           "calibration.averaging is 0.5, was 0.01"},
          {[](ModelOptions*, QuantizeOptions* o) { o->ranges.bins = 512; },
           "calibration.bins is 512, was 2048"},
          {[](ModelOptions* m, QuantizeOptions*) {
             m->preprocessing.mean = {0.1 + 1e-16, 0.2, 0.3};
           },
           "preprocessing.mean is 0.1000000000000001,0.2,0.3, was "},
          {[](ModelOptions* m, QuantizeOptions*) {
             m->preprocessing.std = {2};
           },
           "preprocessing.std is 2, was "},
          {[](ModelOptions* m, QuantizeOptions*) {
             m->preprocessing.scale = 1;
           },
           "preprocessing.scale is 1, was 0.00392156862745098"},
          {[](ModelOptions*, QuantizeOptions* o) {
             o->bias_correction = BiasCorrection::kNone;
           },
           "search.bias_correction is none, was analytic"},
          {[](ModelOptions*, QuantizeOptions* o) {
             o->equalize = EqualizeMode::kOff;
           },
           "search.equalize is off, was auto"},
          {[](ModelOptions*, QuantizeOptions* o) { o->max_drop = 0.9; },
           "search.max_drop is 0.9, was none"},
          {[](ModelOptions*, QuantizeOptions* o) { o->min_sqnr_db = 1; },
           "search.min_sqnr_db is 1, was none"},
          {[](ModelOptions*, QuantizeOptions* o) { o->min_speedup = 0.001; },
           "search.min_speedup is 0.001, was none"},
          {[](ModelOptions*, QuantizeOptions* o) { o->detailed_report = true; },
           "report.detailed is yes, was no"},
          {[](ModelOptions* m, QuantizeOptions*) { m->engine.threads = 2; },
           "calibration.threads is 2, was 1"},
          {[](ModelOptions* m, QuantizeOptions*) {
             m->engine_choice = EngineChoice::kTorchScript;
           },
           "calibration.engine is torchscript, was onednn"},
      };
  const ModelOptions model = model_;
  const QuantizeOptions options = options_;
  for (const auto& [change, reason] : cases) {
    model_ = model;
    options_ = options;
    fs::remove_all(model_.artifact_dir);
    Quantize();
    change(&model_, &options_);
    ExpectAnew(MakeShard(), reason);
  }
  // What only changes the speed does not count.
  model_ = model;
  options_ = options;
  Quantize();
  model_.engine.ladder = {1, 2};
  model_.cache_dir.clear();
  EXPECT_EQ(Quantize().report.artifact, "loaded");
}

TEST_F(ReuseTest, AnotherVersionOrProcessorIsQuantizedAnew) {
  for (const char* name :
       {"versions.rules", "versions.libtorch", "versions.onednn", "cpu.vnni",
        "cpu.avx512", "cpu.avx2", "cpu.amx_int8"}) {
    fs::remove_all(model_.artifact_dir);
    Quantize();
    Tamper([name](Artifact* artifact) {
      ASSERT_EQ(artifact->inputs.count(name), 1u);
      artifact->inputs[name] = "another";
    });
    ExpectAnew(MakeShard(), absl::StrCat(name, " is "));
  }
}

TEST_F(ReuseTest, DamageCostsTimeOnly) {
  Quantize();
  const fs::path file = Kept()[0];
  std::ifstream in(file, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  std::string flipped = whole;
  flipped[whole.size() / 3] ^= 4;
  for (const std::string& damaged :
       {std::string(), whole.substr(0, whole.size() / 2), flipped,
        std::string("{\"weight_bits\": 8}")}) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << damaged;
    ExpectAnew(MakeShard(), file.filename().string());
    EXPECT_EQ(Kept().size(), 1u);
  }
}

TEST_F(ReuseTest, ARecipeThatDoesNotFitTheModelIsNotUsed) {
  const std::function<void(Artifact*)> changes[] = {
      [](Artifact* a) { a->recipe.ranges.clear(); },
      [](Artifact* a) { a->recipe.bias_shifts.begin()->second.push_back(1); },
      [](Artifact* a) { a->recipe.bias_shifts["no such layer"] = {1}; },
      [](Artifact* a) { a->recipe.keep_float["no such layer"] = "why not"; },
      [](Artifact* a) {
        a->recipe.equalizations.push_back({"no", "such", {1, 1}});
      }};
  for (const auto& change : changes) {
    fs::remove_all(model_.artifact_dir);
    Quantize();
    Tamper(change);
    ExpectAnew(MakeShard(), "its recipe does not fit the model: ");
  }
}

TEST_F(ReuseTest, ADirectoryThatCannotBeWrittenIsANote) {
  std::ofstream(model_.artifact_dir) << "a file is in its place";
  const QuantizationReport report = Quantize().report;
  EXPECT_THAT(report.notes,
              Contains(StartsWith("the artifact could not be kept: cannot make "
                                  "the directory --artifact_dir: ")));
  EXPECT_EQ(report.digest.size(), 64u);
}

TEST_F(ReuseTest, TheInt8FileTellsItsRecipe) {
  const QuantizedVariant made = Quantize();
  const std::string path = (root_ / "int8.pt").string();
  ASSERT_TRUE(made.save(path).ok());
  const auto file = TorchModel::Load(path, 1 << 30);
  ASSERT_TRUE(file.ok()) << file.status();
  const std::string text = (*file)->ExtraFile(kArtifactFile);
  const auto artifact = ParseArtifact(text);
  ASSERT_TRUE(artifact.ok()) << artifact.status();
  EXPECT_EQ(artifact->report.digest, made.report.digest);

  const auto model = TorchModel::Load(model_.path, 1 << 30);
  const auto plan = (*model)->Import(model_.inputs);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const std::string& sha256 = artifact->inputs.at(kModelInput);
  const auto rebuilt = RebuildQuantizedPlan(*plan, sha256, text);
  ASSERT_TRUE(rebuilt.ok()) << rebuilt.status();
  EXPECT_TRUE(rebuilt->quantized());
  for (const auto& [other_sha, other_text] :
       {std::pair{std::string(64, '0'), text}, std::pair{sha256, std::string()},
        std::pair{sha256, text.substr(1)}}) {
    EXPECT_EQ(
        RebuildQuantizedPlan(*plan, other_sha, other_text).status().code(),
        absl::StatusCode::kFailedPrecondition);
  }
}

}  // namespace
}  // namespace quantserve
