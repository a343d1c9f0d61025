#include "quant/report/histogram.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantserve::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ActivationReport Seen(Range bounds, Range range, std::vector<int64_t> counts) {
  ActivationReport activation;
  activation.range = range;
  activation.histogram.bounds = bounds;
  activation.histogram.counts = std::move(counts);
  return activation;
}

TEST(HistogramTest, ManyBinsBecomeFewBarsWithTheSameSum) {
  std::vector<int64_t> counts(2048);
  std::iota(counts.begin(), counts.end(), 0);
  const std::vector<double> bars = Downsample(counts);
  ASSERT_EQ(bars.size(), kMaxBars);
  EXPECT_EQ(bars[0], 0 + 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 11 + 12 + 13 +
                         14 + 15);
  EXPECT_EQ(std::accumulate(bars.begin(), bars.end(), 0.0), 2047 * 1024);
}

TEST(HistogramTest, FewBinsStayAsTheyAre) {
  EXPECT_EQ(Downsample({1, 2, -3}), (std::vector<double>{1, 2, 0}));
  EXPECT_TRUE(Downsample({}).empty());
}

TEST(HistogramTest, WhatLiesOutsideTheRangeIsClipped) {
  const std::string svg =
      HistogramPicture(Seen({-2, 2}, {-1, 1}, {5, 5, 5, 5}), "p");
  EXPECT_THAT(svg, HasSubstr("class=\"int8\" d=\"M1 100V0h1V0h1V100\""));
  EXPECT_THAT(svg,
              HasSubstr("class=\"clip\" d=\"M0 100V0h1V100M3 100V0h1V100\""));
  EXPECT_THAT(svg, HasSubstr("range −1.00 to 1.00"));
}

TEST(HistogramTest, ARangeBeyondTheBoundsWidensThePicture) {
  const std::string svg = HistogramPicture(Seen({0, 2}, {-1, 3}, {5, 5}), "p");
  EXPECT_THAT(svg, HasSubstr("viewBox=\"-1.04 0 4.08 100\""));
  EXPECT_THAT(svg, HasSubstr("class=\"clip\" d=\"\""));
}

TEST(HistogramTest, CountsAreLogarithmic) {
  const std::string svg =
      HistogramPicture(Seen({0, 2}, {0, 2}, {999'999, 999}), "p");
  EXPECT_THAT(svg, HasSubstr("M0 100V0h1V50h1V100"));
}

TEST(HistogramTest, NothingIsDrawnWhereThereIsNoInterval) {
  const auto nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(HistogramPicture(Seen({0, 1}, {0, 1}, {}), "p"), "");
  EXPECT_EQ(HistogramPicture(Seen({0, 0}, {0, 0}, {1}), "p"), "");
  EXPECT_EQ(HistogramPicture(Seen({nan, 1}, {0, 1}, {1}), "p"), "");
  EXPECT_THAT(HistogramPicture(Seen({0, 1}, {nan, nan}, {0, 0}), "p"),
              Not(HasSubstr("nan")));
}

TEST(HistogramTest, ZerosAreAShareOfAllValues) {
  ActivationReport activation = Seen({0, 1}, {0, 1}, {30, 30});
  activation.histogram.zeros = 40;
  EXPECT_DOUBLE_EQ(ZeroShare(activation.histogram), 0.4);
  EXPECT_TRUE(std::isnan(ZeroShare({})));
}

}  // namespace
}  // namespace quantserve::report
