#include "quant/search/held_out.h"

#include <gtest/gtest.h>

namespace quantserve {
namespace {

TEST(SplitShardTest, SamplesBehindThoseAskedForDecide) {
  const Split split = SplitShard(10000, 512);
  EXPECT_EQ(split.samples, 512);
  EXPECT_EQ(split.fit, 512);
  EXPECT_EQ(split.held_first, 512);
  EXPECT_EQ(split.held_count, 256);
  EXPECT_EQ(SplitShard(600, 512).held_count, 88);
}

TEST(SplitShardTest, ElseTheLastQuarterDoes) {
  for (int64_t size : {512, 100}) {
    const Split split = SplitShard(size, 512);
    EXPECT_EQ(split.samples, size);
    EXPECT_EQ(split.held_count, size / 4);
    EXPECT_EQ(split.fit, size - size / 4);
    EXPECT_EQ(split.held_first, split.fit);
  }
  EXPECT_EQ(SplitShard(5000, 5000).held_count, 256);
}

TEST(SplitShardTest, ASingleSampleDoesBoth) {
  const Split split = SplitShard(1, 512);
  EXPECT_EQ(split.samples, 1);
  EXPECT_EQ(split.fit, 1);
  EXPECT_EQ(split.held_first, 0);
  EXPECT_EQ(split.held_count, 1);
  EXPECT_EQ(SplitShard(2, 512).held_first, 1);
}

}  // namespace
}  // namespace quantserve
