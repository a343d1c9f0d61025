#include "quant/pipeline/artifact.h"

#include <gtest/gtest.h>

namespace quantserve {
namespace {

TEST(ArtifactTest, ComesBackAsItWasWritten) {
  ModelInfo model;
  model.sha256 = "abc";
  Recipe recipe;
  recipe.weight_bits = 7;
  recipe.equalizations = {{"a", "b", {0.5f, 2.0f}}};
  recipe.ranges = {{"x", {{-1.25f, 3.5f}, {-3.5f, 3.5f}}}};
  recipe.bias_shifts = {{"a", {0.25f, -0.1f}}};
  recipe.keep_float = {{"c", "asked for"}};
  const auto artifact = ParseArtifact(ArtifactJson(model, {}, "shard", recipe));
  ASSERT_TRUE(artifact.ok()) << artifact.status();
  EXPECT_EQ(artifact->model_sha256, "abc");
  const Recipe& got = artifact->recipe;
  EXPECT_EQ(got.weight_bits, 7);
  EXPECT_EQ(got.ranges.at("x").affine.lo, -1.25f);
  EXPECT_EQ(got.ranges.at("x").symmetric.hi, 3.5f);
  ASSERT_EQ(got.equalizations.size(), 1u);
  EXPECT_EQ(got.equalizations[0].second, "b");
  EXPECT_EQ(got.equalizations[0].factors, recipe.equalizations[0].factors);
  EXPECT_EQ(got.bias_shifts, recipe.bias_shifts);
  EXPECT_EQ(got.keep_float, recipe.keep_float);
}

TEST(ArtifactTest, MalformedOnesAreRefused) {
  for (const char* text :
       {"", "{}", "[1]", "{\"format\":3}",
        R"({"format":2,"model":{"sha256":"a"},"recipe":{"weight_bits":3,
            "equalizations":[],"ranges":{},"bias_shifts":{},
            "keep_float":{}}})",
        R"({"format":2,"model":{"sha256":"a"},"recipe":{"weight_bits":8,
            "equalizations":[],"ranges":{"x":{"affine":[1,2],
            "symmetric":[-2,2]}},"bias_shifts":{},"keep_float":{}}})",
        R"({"format":2,"model":{"sha256":"a"},"recipe":{"weight_bits":8,
            "equalizations":[],"ranges":{},"bias_shifts":{"a":["b"]},
            "keep_float":{}}})"}) {
    EXPECT_EQ(ParseArtifact(text).status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
}

}  // namespace
}  // namespace quantserve
