#include "quant/demo/images.h"

#include <array>
#include <set>
#include <string>

#include "gtest/gtest.h"

namespace quantserve {
namespace {

using Image = std::array<uint8_t, kDemoImageBytes>;

Image Draw(uint64_t seed, DemoSplit split, int64_t index) {
  Image image;
  DrawDemoImage(seed, split, index, absl::MakeSpan(image));
  return image;
}

TEST(DemoImagesTest, DependOnSeedSplitAndIndexAlone) {
  const Image image = Draw(1, DemoSplit::kTest, 5);
  (void)Draw(9, DemoSplit::kTrain, 77);
  EXPECT_EQ(Draw(1, DemoSplit::kTest, 5), image);
  EXPECT_NE(Draw(2, DemoSplit::kTest, 5), image);
  EXPECT_NE(Draw(1, DemoSplit::kTrain, 5), image);
  EXPECT_NE(Draw(1, DemoSplit::kTest, 15), image);
}

// No training image may turn up among the test images.
TEST(DemoImagesTest, NeverRepeatThemselves) {
  std::set<Image> seen;
  for (DemoSplit split :
       {DemoSplit::kTrain, DemoSplit::kCalibration, DemoSplit::kTest}) {
    for (int64_t i = 0; i < 300; ++i) seen.insert(Draw(1, split, i));
  }
  EXPECT_EQ(seen.size(), 900u);
}

TEST(DemoImagesTest, ClassesTakeTurns) {
  Image image;
  for (int64_t i = 0; i < 30; ++i) {
    EXPECT_EQ(DrawDemoImage(1, DemoSplit::kTrain, i, absl::MakeSpan(image)),
              i % kDemoClasses);
  }
}

TEST(DemoImagesTest, UseTheWholeRangeOfValues) {
  int64_t dark = 0, bright = 0;
  for (int64_t i = 0; i < 50; ++i) {
    for (uint8_t value : Draw(1, DemoSplit::kTrain, i)) {
      dark += value < 40 ? 1 : 0;
      bright += value > 215 ? 1 : 0;
    }
  }
  EXPECT_GT(dark, 1000);
  EXPECT_GT(bright, 1000);
}

TEST(DemoImagesTest, ClassesHaveNamesOfTheirOwn) {
  const std::set<std::string> names(kDemoClassNames.begin(),
                                    kDemoClassNames.end());
  EXPECT_EQ(names.size(), static_cast<size_t>(kDemoClasses));
}

}  // namespace
}  // namespace quantserve
