#include "quant/pipeline/artifact.h"

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>

#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/quant/pipeline/artifact_samples.h"

namespace quantserve {
namespace {

using nlohmann::json;
using testing::FullArtifact;
using ::testing::HasSubstr;

std::string Text(const Artifact& artifact) {
  const auto text = ArtifactText(artifact);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.ok() ? *text : "";
}

// What somebody could write who knows how: the checksums are right.
std::string Sealed(const std::string& document) {
  return absl::StrCat("{\"sha256\":\"", Sha256(document), "\",\"artifact\":\n",
                      document, "}\n");
}

json Document() { return json::parse(Text(FullArtifact())).at("artifact"); }

std::string SealedJson(json document) {
  if (document.contains("recipe")) {
    document["digest"] = Sha256(document["recipe"].dump(1));
  }
  return Sealed(document.dump(1));
}

TEST(ArtifactTest, ComesBackAsItWasWritten) {
  const Artifact written = FullArtifact();
  const auto read = ParseArtifact(Text(written));
  ASSERT_TRUE(read.ok()) << read.status();
  // Equal texts mean equal artifacts; this looks at a few that are special.
  EXPECT_EQ(Text(*read), Text(written));
  EXPECT_EQ(read->inputs, written.inputs);
  EXPECT_EQ(read->recipe.ranges.at("x").affine.lo, -1.1f);
  EXPECT_EQ(read->recipe.ranges.at("x").affine.hi, 1.0f / 3);
  EXPECT_TRUE(std::signbit(read->recipe.ranges.at("y").affine.lo));
  EXPECT_EQ(read->recipe.ranges.at("y").symmetric.hi, 1e-40f);
  EXPECT_EQ(read->recipe.equalizations[0].factors,
            written.recipe.equalizations[0].factors);
  EXPECT_EQ(read->recipe.bias_shifts, written.recipe.bias_shifts);
  EXPECT_EQ(read->recipe.keep_float, written.recipe.keep_float);
  const QuantizationReport& report = read->report;
  EXPECT_EQ(report.digest, RecipeDigest(written.recipe));
  EXPECT_EQ(report.notes, written.report.notes);
  EXPECT_EQ(report.trials[1].sqnr_db, -HUGE_VAL);
  EXPECT_FALSE(report.trials[1].accuracy.has_value());
  EXPECT_EQ(report.layers[0].cumulative_sqnr_db, HUGE_VAL);
  EXPECT_EQ(report.layers[0].int8_time, absl::Nanoseconds(3500));
  EXPECT_FALSE(report.layers[1].activation.has_value());
  EXPECT_EQ(report.budget->achieved, "0.0039");
}

TEST(ArtifactTest, KeepsHistogramsSmall) {
  const auto read = ParseArtifact(Text(FullArtifact()));
  ASSERT_TRUE(read.ok()) << read.status();
  const ActivationHistogram& histogram =
      read->report.layers[0].activation->histogram;
  // 100 bins of 3 become 50 of 6.
  EXPECT_EQ(histogram.counts, std::vector<int64_t>(50, 6));
  EXPECT_EQ(histogram.zeros, 7);
}

TEST(ArtifactTest, IsJsonForOthers) {
  const json document = Document();
  EXPECT_EQ(document.at("inputs").at("calibration").at("samples"), "512");
  EXPECT_EQ(document.at("report").at("trials")[0].at("accuracy"), 0.9154);
}

TEST(ArtifactTest, TheDigestIsThatOfTheRecipe) {
  Recipe recipe = FullArtifact().recipe;
  const std::string digest = RecipeDigest(recipe);
  // Pinned: other processes and later versions must find the same. If this
  // fails, digests of old artifacts mean nothing any more.
  EXPECT_EQ(digest,
            "02e7ee330e36709fd2ff1ab07e1eea514eadab82169890c8abdc8fa3d3626836");
  const std::vector<std::function<void(Recipe*)>> changes = {
      [](Recipe* r) { r->weight_bits = 8; },
      [](Recipe* r) { r->equalizations[0].factors[1] = 4e-30f; },
      [](Recipe* r) { r->equalizations[0].second = "c"; },
      [](Recipe* r) {
        float& hi = r->ranges["x"].affine.hi;
        hi = std::nextafter(hi, 1.0f);
      },
      [](Recipe* r) { r->ranges.erase("y"); },
      [](Recipe* r) { r->bias_shifts["b"] = {0}; },
      [](Recipe* r) { r->keep_float.clear(); }};
  for (const auto& change : changes) {
    recipe = FullArtifact().recipe;
    change(&recipe);
    EXPECT_NE(RecipeDigest(recipe), digest);
  }
}

TEST(ArtifactTest, EachInputCountsForTheKey) {
  const ArtifactInputs inputs = FullArtifact().inputs;
  const std::string key = InputsKey(inputs);
  EXPECT_EQ(InputsKey(FullArtifact().inputs), key);
  for (const auto& [name, value] : inputs) {
    ArtifactInputs other = inputs;
    other[name] += "0";
    EXPECT_NE(InputsKey(other), key) << name;
    other.erase(name);
    EXPECT_NE(InputsKey(other), key) << name;
  }
}

TEST(ArtifactTest, WritesNothingThatItWouldNotRead) {
  const std::vector<std::pair<std::function<void(Artifact*)>, const char*>>
      cases = {
          {[](Artifact* a) { a->inputs.erase(kModelInput); }, "model.sha256"},
          {[](Artifact* a) { a->inputs[kModelInput] = "abc"; }, "model.sha256"},
          {[](Artifact* a) { a->recipe.weight_bits = 4; }, "weight_bits"},
          {[](Artifact* a) { a->recipe.ranges["x"].affine.hi = NAN; },
           "recipe.ranges.x.affine"},
          {[](Artifact* a) { a->recipe.ranges["x"].affine.lo = 0.5f; },
           "holds zero"},
          {[](Artifact* a) { a->recipe.ranges["x"].symmetric.lo = 0; },
           "centred"},
          {[](Artifact* a) { a->recipe.bias_shifts["a"][0] = HUGE_VALF; },
           "recipe.bias_shifts.a[0]"},
          {[](Artifact* a) { a->recipe.equalizations[0].factors[0] = 0; },
           "positive"}};
  for (const auto& [change, says] : cases) {
    Artifact artifact = FullArtifact();
    change(&artifact);
    const auto text = ArtifactText(artifact);
    EXPECT_EQ(text.status().code(), absl::StatusCode::kInvalidArgument) << says;
    EXPECT_THAT(std::string(text.status().message()), HasSubstr(says));
  }
  Artifact large = FullArtifact();
  large.report.notes = {std::string(kMaxArtifactBytes, 'x')};
  EXPECT_EQ(ArtifactText(large).status().code(),
            absl::StatusCode::kResourceExhausted);
}

// A file's name may hold any bytes.
TEST(ArtifactTest, BytesThatAreNoTextAreReplaced) {
  Artifact artifact = FullArtifact();
  artifact.report.shard = "\xff.bin";
  const auto read = ParseArtifact(Text(artifact));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->report.shard, "\xef\xbf\xbd.bin");
}

TEST(ArtifactTest, AnyDamageIsFound) {
  const std::string whole = Text(FullArtifact());
  std::mt19937 random(1);  // NOLINT: the same numbers on every run
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = whole;
    damaged[random() % damaged.size()] ^= static_cast<char>(1 << random() % 8);
    EXPECT_FALSE(ParseArtifact(damaged).ok());
  }
  for (size_t size = 0; size < whole.size(); size += 7) {
    EXPECT_FALSE(ParseArtifact(whole.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(ParseArtifact(whole + "\n").ok());
  EXPECT_FALSE(ParseArtifact(whole + whole).ok());
}

TEST(ArtifactTest, SaysWhatIsWrong) {
  json version = Document(), digest = Document();
  version["format"] = 3;
  json range = Document(), factors = Document(), histogram = Document();
  range["recipe"]["ranges"]["x"]["affine"] = {0.5, 1};
  factors["recipe"]["equalizations"][0]["factors"] = {1, -1};
  histogram["report"]["layers"][0]["activation"]["histogram"]["counts"] =
      std::vector<int>(1000, 1);
  json precise = Document(), count = Document(), large = Document();
  precise["recipe"]["ranges"]["x"]["affine"] = {-0.1, 1};
  count["report"]["samples"] = -1;
  large["report"]["samples"] = UINT64_MAX;
  json extra = Document(), missing = Document(), bits = Document();
  extra["more"] = 1;
  missing.erase("report");
  bits["recipe"]["weight_bits"] = 7.0;
  digest["recipe"]["weight_bits"] = 8;
  std::string huge = absl::StrReplaceAll(Document().dump(1),
                                         {{"\"lo\": -0.5", "\"lo\": 1e999"}});
  const std::pair<std::string, const char*> cases[] = {
      {"", "is empty"},
      {"{}", "does not begin as an artifact does"},
      {std::string(1000, '['), "does not begin as an artifact does"},
      {Document().dump(1), "does not begin as an artifact does"},
      {std::string(kMaxArtifactBytes + 1, ' '), "bytes, at most"},
      {Sealed("{}"), "has no \"format\""},
      {Sealed("[1]"), "the document is no object"},
      {Sealed("{\"a\":"), "parse error"},
      {Sealed(std::string(100000, '[')), "nested too deeply"},
      {Sealed(std::string(1000, '{')), "parse error"},
      {SealedJson(version), "format is 3, this version reads 2"},
      {Sealed(digest.dump(1)), "digest is not the recipe's"},
      {SealedJson(range), "recipe.ranges.x.affine is [0.5, 1]"},
      {SealedJson(factors), "recipe.equalizations[0].factors holds -1"},
      {SealedJson(histogram), "histogram has too many bins"},
      {SealedJson(precise), "recipe.ranges.x.affine[0] is -0.1"},
      {SealedJson(count), "report.samples is -1, want 0 to"},
      {SealedJson(large), "report.samples is 18446744073709551615"},
      {SealedJson(extra), "is not written as an artifact is"},
      {Sealed(Document().dump()), "is not written as an artifact is"},
      {SealedJson(missing), "has no \"report\""},
      {SealedJson(bits), "recipe.weight_bits is no integer"},
      {Sealed(huge), "number overflow"},
  };
  for (const auto& [text, says] : cases) {
    const auto artifact = ParseArtifact(text);
    EXPECT_EQ(artifact.status().code(), absl::StatusCode::kInvalidArgument)
        << says;
    EXPECT_THAT(std::string(artifact.status().message()), HasSubstr(says))
        << text.substr(0, 200);
    EXPECT_LT(artifact.status().message().size(), 1500u);
  }
}

// Two bytes of text for each value: gigabytes, if nobody counted.
TEST(ArtifactTest, ManyValuesAreRefusedEarly) {
  std::string text = "[";
  for (int i = 0; i < 15'000'000; ++i) text += "0,";
  text += "0]";
  const auto artifact = ParseArtifact(Sealed(text));
  EXPECT_THAT(std::string(artifact.status().message()),
              HasSubstr("too many values"));
}

}  // namespace
}  // namespace quantserve
