#include "quant/pipeline/artifact.h"

#include <gtest/gtest.h>

namespace quantserve {
namespace {

TEST(ArtifactTest, ComesBackAsItWasWritten) {
  ModelInfo model;
  model.sha256 = "abc";
  RangeMap ranges{{"x", {{-1.25f, 3.5f}, {-3.5f, 3.5f}, {0.5f}}}};
  QuantizePlanOptions quantize;
  quantize.weight_bits = 7;
  const auto artifact =
      ParseArtifact(ArtifactJson(model, {}, quantize, "shard", ranges));
  ASSERT_TRUE(artifact.ok()) << artifact.status();
  EXPECT_EQ(artifact->model_sha256, "abc");
  EXPECT_EQ(artifact->weight_bits, 7);
  EXPECT_EQ(artifact->ranges.at("x").affine.lo, -1.25f);
  EXPECT_EQ(artifact->ranges.at("x").symmetric.hi, 3.5f);
  EXPECT_EQ(artifact->ranges.at("x").channel_mean, std::vector<float>{0.5f});
}

TEST(ArtifactTest, MalformedOnesAreRefused) {
  for (const char* text :
       {"", "{}", "[1]", "{\"format\":2}",
        R"({"format":1,"model":{"sha256":"a"},"weight_bits":3,"ranges":{}})",
        R"({"format":1,"model":{"sha256":"a"},"weight_bits":8,
            "ranges":{"x":{"affine":[1,2],"symmetric":[-2,2],
            "channel_mean":[]}}})"}) {
    EXPECT_EQ(ParseArtifact(text).status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
}

}  // namespace
}  // namespace quantserve
