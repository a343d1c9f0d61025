#include "quant/ranges/quantization_error.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace quantserve {
namespace {

// Quantizes one value the plain way and returns the squared error.
double PlainError(double x, const Range& range, int levels) {
  const double scale =
      (static_cast<double>(range.hi) - range.lo) / (levels - 1);
  const double zero_point = std::round(-range.lo / scale);
  const double q = std::clamp(std::nearbyint(x / scale) + zero_point, 0.0,
                              static_cast<double>(levels - 1));
  const double difference = x - scale * (q - zero_point);
  return difference * difference;
}

// The mean of PlainError over each bin by the midpoint rule, many points each.
double BruteForce(const std::vector<int64_t>& counts, const Range& bounds,
                  const Range& range, int levels) {
  constexpr int kPoints = 4000;
  const double width =
      (static_cast<double>(bounds.hi) - bounds.lo) / counts.size();
  double sum = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    double bin = 0;
    for (int k = 0; k < kPoints; ++k) {
      bin += PlainError(bounds.lo + width * (i + (k + 0.5) / kPoints), range,
                        levels);
    }
    sum += counts[i] * bin / kPoints;
  }
  return sum;
}

struct Case {
  const char* name;
  Range bounds;
  Range range;
  int levels;
  int bins;
};

class SquaredErrorTest : public testing::TestWithParam<Case> {};

TEST_P(SquaredErrorTest, EqualsBruteForce) {
  const Case& c = GetParam();
  std::mt19937 random(7);
  std::vector<int64_t> counts(c.bins);
  for (int64_t& count : counts) count = random() % 1000;
  const double got = SquaredError(counts, c.bounds, GridFor(c.range, c.levels));
  const double want = BruteForce(counts, c.bounds, c.range, c.levels);
  EXPECT_NEAR(got, want, want * 2e-4);
}

INSTANTIATE_TEST_SUITE_P(
    Grids, SquaredErrorTest,
    testing::Values(
        Case{"BinsNarrowerThanSteps", {-1, 3}, {-1, 3}, 16, 256},
        Case{"BinsWiderThanSteps", {-1, 3}, {-1, 3}, 256, 16},
        Case{"ClippedAtBothEnds", {-1, 3}, {-0.4F, 1.2F}, 256, 64},
        Case{"ClippedToAlmostNothing", {-1, 3}, {-0.01F, 0.03F}, 256, 64},
        Case{"NonNegative", {0, 6}, {0, 4.5F}, 256, 128},
        Case{"NonPositive", {-6, 0}, {-4.5F, 0}, 256, 128},
        Case{"Symmetric", {-2, 5}, {-4, 4}, 256, 128},
        Case{"SevenBits", {-2, 5}, {-2, 5}, 128, 100},
        Case{"GridWiderThanTheData", {-1, 1}, {-5, 9}, 256, 64}),
    [](const auto& info) { return info.param.name; });

TEST(GridForTest, HasZeroAndTheRangesEnds) {
  const Grid grid = GridFor({-1, 3}, 256);
  EXPECT_DOUBLE_EQ(grid.scale, 4.0 / 255);
  EXPECT_DOUBLE_EQ(grid.first, -64);  // round(63.75)
  EXPECT_DOUBLE_EQ(grid.last, 191);
}

TEST(GridForTest, CentresSymmetricRangesOn128) {
  EXPECT_DOUBLE_EQ(GridFor({-2, 2}, 256).first, -128);
}

// Oracle: numpy, on 8 bins and 4 steps.
//   p = [4, 4, 2, 0, 1, 1, 0, 1], kept whole: q = [4, 4, 2, 0, 1, 1, 0, 1]
//   kept to the first 6 bins of 8, as 3 steps of 2 bins:
//   p = [4, 4, 2, 0, 1, 2], q = [4, 4, 2, 0, 1, 1]
//   sum(p/13 * ln((p/13) / (q/12))) = 0.02659...
TEST(QuantizationDivergenceTest, IsWhatTheFormulaSays) {
  const std::vector<int64_t> counts{4, 4, 2, 0, 1, 1, 0, 1};
  EXPECT_NEAR(QuantizationDivergence(counts, {0, 8}, {0, 8}, 4), 0, 1e-12);
  const double p[] = {4, 4, 2, 0, 1, 2}, q[] = {4, 4, 2, 0, 1, 1};
  double want = 0;
  for (int i = 0; i < 6; ++i) {
    if (p[i] > 0) want += p[i] / 13 * std::log((p[i] / 13) / (q[i] / 12));
  }
  EXPECT_NEAR(want, 0.02659, 1e-5);
  EXPECT_NEAR(QuantizationDivergence(counts, {0, 8}, {0, 6}, 3), want, 1e-12);
}

// Bins of one step are averaged over those that are not empty.
TEST(QuantizationDivergenceTest, StepsCannotTellTheirBinsApart) {
  const double p[] = {6.0 / 8, 2.0 / 8};
  const double want = p[0] * std::log(p[0] / 0.5) + p[1] * std::log(p[1] / 0.5);
  EXPECT_NEAR(QuantizationDivergence({6, 2, 0, 0}, {0, 4}, {0, 4}, 2), want,
              1e-12);
}

TEST(QuantizationDivergenceTest, BothEndsTakeUpTheirOutliers) {
  const std::vector<int64_t> counts{1, 3, 3, 3, 3, 1};
  EXPECT_NEAR(QuantizationDivergence(counts, {-3, 3}, {-2, 2}, 4),
              2 * 4.0 / 14 * std::log(4.0 / 14 / 0.25) +
                  2 * 3.0 / 14 * std::log(3.0 / 14 / 0.25),
              1e-12);
}

TEST(QuantizationDivergenceTest, ARangeWithoutValuesIsInfinitelyBad) {
  EXPECT_TRUE(
      std::isinf(QuantizationDivergence({0, 0, 0, 5}, {0, 4}, {0, 2}, 2)));
}

}  // namespace
}  // namespace quantserve
