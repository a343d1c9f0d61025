#include "quant/ranges/range_estimator.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;

RangeOptions Options(RangeMethod method) {
  RangeOptions options;
  options.method = method;
  return options;
}

// Shows every batch twice, as the estimator wants it.
RangeEstimator Observed(const RangeOptions& options,
                        const std::vector<std::vector<float>>& batches) {
  RangeEstimator estimator(options);
  for (const auto& batch : batches) {
    EXPECT_TRUE(estimator.ObserveBounds(batch).ok());
  }
  if (estimator.NeedsHistogram()) {
    for (const auto& batch : batches) estimator.ObserveHistogram(batch);
  }
  return estimator;
}

std::vector<float> Draw(int count, const std::function<float()>& one) {
  std::vector<float> values(count);
  std::generate(values.begin(), values.end(), one);
  return values;
}

double MeanSquaredError(const std::vector<float>& values, const Range& range,
                        int levels) {
  const double scale =
      (static_cast<double>(range.hi) - range.lo) / (levels - 1);
  const double zero_point = std::round(-range.lo / scale);
  double sum = 0;
  for (float x : values) {
    const double q = std::clamp(std::nearbyint(x / scale) + zero_point, 0.0,
                                static_cast<double>(levels - 1));
    sum += std::pow(x - scale * (q - zero_point), 2);
  }
  return sum / values.size();
}

double SqnrDb(const std::vector<float>& values, const Range& range) {
  double signal = 0;
  for (float x : values) signal += static_cast<double>(x) * x;
  return 10 * std::log10(signal / values.size() /
                         MeanSquaredError(values, range, 256));
}

TEST(RangeMethodTest, NamesAreParsedBack) {
  for (RangeMethod method : {RangeMethod::kMinMax, RangeMethod::kMovingAverage,
                             RangeMethod::kPercentile, RangeMethod::kMse,
                             RangeMethod::kEntropy, RangeMethod::kAuto}) {
    const auto parsed = ParseRangeMethod(RangeMethodName(method));
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(*parsed, method);
  }
}

TEST(RangeMethodTest, UnknownNameListsTheKnownOnes) {
  const auto parsed = ParseRangeMethod("guess");
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(parsed.status().message()),
              HasSubstr("\"guess\" is unknown, expected minmax, "
                        "moving_average, percentile, mse, entropy or auto"));
}

TEST(RangeOptionsTest, RefusesSenselessNumbers) {
  EXPECT_TRUE(RangeOptions().Validate().ok());
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (double percentile : {50.0, 0.0, -1.0, 100.1, nan}) {
    RangeOptions options;
    options.percentile = percentile;
    EXPECT_FALSE(options.Validate().ok()) << percentile;
  }
  for (double averaging : {0.0, -0.1, 1.1, nan}) {
    RangeOptions options;
    options.averaging = averaging;
    EXPECT_FALSE(options.Validate().ok()) << averaging;
  }
  for (int bins : {0, -5, 15, 1 << 21}) {
    RangeOptions options;
    options.bins = bins;
    EXPECT_FALSE(options.Validate().ok()) << bins;
  }
}

TEST(RangeEstimatorTest, MinMaxCoversEveryBatchAndZero) {
  const auto both =
      Observed(Options(RangeMethod::kMinMax), {{1, 2, 3}, {-4, 0.5F}, {2.5F}});
  EXPECT_EQ(both.Estimate(256, false).lo, -4);
  EXPECT_EQ(both.Estimate(256, false).hi, 3);
  EXPECT_EQ(both.Estimate(256, true).lo, -4);
  EXPECT_EQ(both.Estimate(256, true).hi, 4);
  EXPECT_EQ(both.observed(), 6);
  const auto positive = Observed(Options(RangeMethod::kMinMax), {{1, 2}});
  EXPECT_EQ(positive.Estimate(256, false).lo, 0);
  const auto negative = Observed(Options(RangeMethod::kMinMax), {{-1, -2}});
  EXPECT_EQ(negative.Estimate(256, false).hi, 0);
}

// The vectorised search looks at whole lanes and at a rest: the extreme values
// must be found wherever they are.
TEST(RangeEstimatorTest, FindsExtremesAtEveryPosition) {
  for (size_t size : {1u, 7u, 15u, 16u, 17u, 31u, 32u, 50u}) {
    for (size_t at = 0; at < size; ++at) {
      std::vector<float> values(size, 0.25F);
      values[at] = 9;
      RangeEstimator high(Options(RangeMethod::kMinMax));
      ASSERT_TRUE(high.ObserveBounds(values).ok());
      EXPECT_EQ(high.Estimate(256, false).hi, 9) << size << " " << at;
      values[at] = -9;
      RangeEstimator low(Options(RangeMethod::kMinMax));
      ASSERT_TRUE(low.ObserveBounds(values).ok());
      EXPECT_EQ(low.Estimate(256, false).lo, -9) << size << " " << at;
    }
  }
}

TEST(RangeEstimatorTest, RefusesNanAndInfinityAtEveryPosition) {
  const float inf = std::numeric_limits<float>::infinity();
  for (float bad : {std::nanf(""), -std::nanf(""), inf, -inf}) {
    for (size_t at = 0; at < 37; ++at) {
      std::vector<float> values(37, 1);
      values[at] = bad;
      RangeEstimator estimator(Options(RangeMethod::kMse));
      EXPECT_EQ(estimator.ObserveBounds(values).code(),
                absl::StatusCode::kInvalidArgument);
    }
  }
}

TEST(RangeEstimatorTest, MovingAverageFollowsTheBatches) {
  RangeOptions options = Options(RangeMethod::kMovingAverage);
  options.averaging = 0.25;
  const auto estimator = Observed(options, {{-4, 8}, {-8, 4}});
  EXPECT_FLOAT_EQ(estimator.Estimate(256, false).lo, -5);  // -4 + (-4) / 4
  EXPECT_FLOAT_EQ(estimator.Estimate(256, false).hi, 7);
}

TEST(RangeEstimatorTest, PercentileCutsTheSameShareOffBothEnds) {
  RangeOptions options = Options(RangeMethod::kPercentile);
  options.percentile = 90;
  std::vector<float> values;
  for (int i = 0; i < 20000; ++i) values.push_back((i + 0.5F) / 10000 - 1);
  const Range range = Observed(options, {values}).Estimate(256, false);
  EXPECT_NEAR(range.lo, -0.9, 2e-3);
  EXPECT_NEAR(range.hi, 0.9, 2e-3);
}

TEST(RangeEstimatorTest, PercentileCountsZeros) {
  RangeOptions options = Options(RangeMethod::kPercentile);
  options.percentile = 99;
  // 90 % zeros, then 10 % spread over (0, 1]: cutting 0.5 % off the top leaves
  // 95 % of the spread part.
  std::vector<float> values(90000, 0);
  for (int i = 0; i < 10000; ++i) values.push_back((i + 1) / 10000.0F);
  const Range range = Observed(options, {values}).Estimate(256, false);
  EXPECT_EQ(range.lo, 0);
  EXPECT_NEAR(range.hi, 0.95, 2e-3);
}

TEST(RangeEstimatorTest, PercentileOf100IsMinMax) {
  RangeOptions options = Options(RangeMethod::kPercentile);
  options.percentile = 100;
  const Range range = Observed(options, {{-1, 0.5F, 2}}).Estimate(256, false);
  EXPECT_FLOAT_EQ(range.lo, -1);
  EXPECT_FLOAT_EQ(range.hi, 2);
}

TEST(RangeEstimatorTest, MseKeepsZeroAtTheEndOfNonNegativeTensors) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  const auto values =
      Draw(100000, [&] { return std::max(0.0F, normal(random)); });
  const Range range =
      Observed(Options(RangeMethod::kMse), {values}).Estimate(256, false);
  EXPECT_EQ(range.lo, 0);
  EXPECT_GT(range.hi, 2);
}

struct Distribution {
  const char* name;
  std::function<float(std::mt19937*)> draw;
};

class MseTest : public testing::TestWithParam<Distribution> {};

// The search works on a histogram; what it finds must be as good on the values
// themselves as the best of the same 100 ranges is.
TEST_P(MseTest, IsAsGoodAsABruteForceSearchOverTheValues) {
  std::mt19937 random(42);
  const auto values = Draw(60000, [&] { return GetParam().draw(&random); });
  const auto estimator = Observed(Options(RangeMethod::kMse), {values});
  const float lo =
      std::min(0.0F, *std::min_element(values.begin(), values.end()));
  const float hi =
      std::max(0.0F, *std::max_element(values.begin(), values.end()));
  for (const bool symmetric : {false, true}) {
    const float m = std::max(-lo, hi);
    double least = std::numeric_limits<double>::infinity();
    for (int i = 1; i <= 100; ++i) {
      const float f = i / 100.0F;
      const Range range =
          symmetric ? Range{-m * f, m * f} : Range{lo * f, hi * f};
      least = std::min(least, MeanSquaredError(values, range, 256));
    }
    const Range found = estimator.Estimate(256, symmetric);
    EXPECT_LE(found.lo, 0);
    EXPECT_GE(found.hi, 0);
    EXPECT_LE(MeanSquaredError(values, found, 256), least * 1.01);
    if (symmetric) {
      EXPECT_EQ(found.lo, -found.hi);
    }
  }
}

// Never worse than min-max, and far better where there are outliers.
TEST_P(MseTest, IsAtLeastAsGoodAsMinMax) {
  std::mt19937 random(43);
  const auto values = Draw(60000, [&] { return GetParam().draw(&random); });
  const Range mse =
      Observed(Options(RangeMethod::kMse), {values}).Estimate(256, false);
  const Range minmax =
      Observed(Options(RangeMethod::kMinMax), {values}).Estimate(256, false);
  EXPECT_GE(SqnrDb(values, mse), SqnrDb(values, minmax) - 1e-3);
}

INSTANTIATE_TEST_SUITE_P(
    Distributions, MseTest,
    testing::Values(
        Distribution{"Normal",
                     [](std::mt19937* r) {
                       return std::normal_distribution<float>(0.3F, 2)(*r);
                     }},
        Distribution{"Relu",
                     [](std::mt19937* r) {
                       return std::max(
                           0.0F, std::normal_distribution<float>(0, 1)(*r));
                     }},
        Distribution{"SparseRelu",
                     [](std::mt19937* r) {
                       return std::max(
                           0.0F, std::normal_distribution<float>(-2, 1)(*r));
                     }},
        Distribution{"HeavyTail",
                     [](std::mt19937* r) {
                       return std::student_t_distribution<float>(3)(*r);
                     }},
        Distribution{"Exponential",
                     [](std::mt19937* r) {
                       return std::exponential_distribution<float>(2)(*r);
                     }},
        Distribution{"Uniform",
                     [](std::mt19937* r) {
                       return std::uniform_real_distribution<float>(-1, 3)(*r);
                     }},
        Distribution{"Negative",
                     [](std::mt19937* r) {
                       return -std::exponential_distribution<float>(2)(*r);
                     }}),
    [](const auto& info) { return info.param.name; });

// Clipping 60 at h costs (60 - h)^2; the step of a range that reaches up to h
// and down to -4.4 h / 60 costs 200,000 s^2 / 12. The sum is least near 46.5.
TEST(RangeEstimatorTest, MseWeighsAnOutlierAgainstTheOthersPrecision) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  auto values = Draw(200000, [&] { return normal(random); });
  values[17] = 60;
  const Range range =
      Observed(Options(RangeMethod::kMse), {values}).Estimate(256, false);
  EXPECT_NEAR(range.hi, 46.5, 1);
}

// Zeros cost nothing on any grid: however many there are, the choice is made
// by the other values. Counted in the bin above zero they would pull the range
// down to where the grid is fine.
TEST(RangeEstimatorTest, MassesOfZerosDoNotMoveTheRange) {
  std::mt19937 random(5);
  std::exponential_distribution<float> exponential(1);
  const auto values = Draw(50000, [&] { return exponential(random); });
  auto with_zeros = values;
  with_zeros.resize(values.size() * 100, 0);
  const RangeOptions options = Options(RangeMethod::kMse);
  EXPECT_EQ(Observed(options, {values}).Estimate(256, false).hi,
            Observed(options, {with_zeros}).Estimate(256, false).hi);
}

TEST(RangeEstimatorTest, AllZerosGiveAnEmptyRange) {
  for (RangeMethod method :
       {RangeMethod::kMinMax, RangeMethod::kMovingAverage,
        RangeMethod::kPercentile, RangeMethod::kMse, RangeMethod::kEntropy}) {
    const auto estimator =
        Observed(Options(method), {std::vector<float>(1000, 0)});
    for (bool symmetric : {false, true}) {
      const Range range = estimator.Estimate(256, symmetric);
      EXPECT_EQ(range.lo, 0);
      EXPECT_EQ(range.hi, 0);
    }
  }
}

TEST(RangeEstimatorTest, SurvivesTheEdgesOfFloat) {
  const float max = std::numeric_limits<float>::max();
  const float tiny = std::numeric_limits<float>::denorm_min();
  for (RangeMethod method :
       {RangeMethod::kPercentile, RangeMethod::kMse, RangeMethod::kEntropy}) {
    for (const auto& values : std::vector<std::vector<float>>{
             {-max, max, 1}, {0, tiny}, {max}, {-tiny}, {5}, {-0.0F}}) {
      const Range range =
          Observed(Options(method), {values}).Estimate(256, false);
      EXPECT_TRUE(std::isfinite(range.lo) && range.lo <= 0) << range.lo;
      EXPECT_TRUE(std::isfinite(range.hi) && range.hi >= 0) << range.hi;
    }
  }
}

TEST(RangeEstimatorTest, ValuesOutsideTheBoundsCountInTheOutermostBins) {
  RangeEstimator estimator(Options(RangeMethod::kMse));
  ASSERT_TRUE(estimator.ObserveBounds({-1, 1}).ok());
  const float inf = std::numeric_limits<float>::infinity();
  estimator.ObserveHistogram({-100, 100, 0.5F, inf, -inf, std::nanf("")});
  const Range range = estimator.Estimate(256, false);
  EXPECT_GE(range.lo, -1);
  EXPECT_LE(range.hi, 1);
}

TEST(RangeEstimatorTest, WithoutObservationsTheRangeIsEmpty) {
  const RangeEstimator estimator((RangeOptions()));
  EXPECT_EQ(estimator.Estimate(256, false).lo, 0);
  EXPECT_EQ(estimator.Estimate(256, false).hi, 0);
}

// One calibration gives the ranges of all methods: those that an estimator made
// for each would give.
TEST(RangeEstimatorTest, EstimatesByEveryMethodFromOneHistogram) {
  std::mt19937 random(8);
  std::normal_distribution<float> normal(0, 1);
  const auto values = Draw(20000, [&] { return normal(random); });
  const RangeEstimator all = Observed(Options(RangeMethod::kAuto), {values});
  for (RangeMethod method :
       {RangeMethod::kMinMax, RangeMethod::kMovingAverage,
        RangeMethod::kPercentile, RangeMethod::kMse, RangeMethod::kEntropy}) {
    const RangeEstimator own = Observed(Options(method), {values});
    for (bool symmetric : {false, true}) {
      const Range want = own.Estimate(256, symmetric);
      const Range got = all.Estimate(Options(method), 256, symmetric);
      EXPECT_EQ(got.lo, want.lo) << RangeMethodName(method);
      EXPECT_EQ(got.hi, want.hi) << RangeMethodName(method);
    }
  }
}

TEST(RangeEstimatorTest, EntropyCutsRareOutliersOfOneSidedTensors) {
  std::mt19937 random(8);
  std::exponential_distribution<float> exponential(1);
  auto values = Draw(100000, [&] { return exponential(random); });
  values.push_back(100);
  const Range range =
      Observed(Options(RangeMethod::kEntropy), {values}).Estimate(256, false);
  EXPECT_EQ(range.lo, 0);
  EXPECT_GT(range.hi, 5);
  EXPECT_LT(range.hi, 40);
}

TEST(RangeEstimatorTest, EntropyKeepsBothSidesOfATensor) {
  std::mt19937 random(8);
  std::normal_distribution<float> normal(0, 1);
  const auto values = Draw(100000, [&] { return normal(random); });
  const RangeEstimator estimator =
      Observed(Options(RangeMethod::kEntropy), {values});
  const Range affine = estimator.Estimate(256, false);
  EXPECT_LT(affine.lo, -2);
  EXPECT_GT(affine.hi, 2);
  const Range symmetric = estimator.Estimate(255, true);
  EXPECT_EQ(symmetric.lo, -symmetric.hi);
  EXPECT_GT(symmetric.hi, 2);
}

TEST(RangeEstimatorTest, EntropyLeavesAUniformTensorWhole) {
  std::mt19937 random(8);
  std::uniform_real_distribution<float> uniform(0, 1);
  const auto values = Draw(100000, [&] { return uniform(random); });
  const Range range =
      Observed(Options(RangeMethod::kEntropy), {values}).Estimate(256, false);
  EXPECT_GT(range.hi, 0.98F);
}

TEST(RangeEstimatorTest, ClippedShareIsWhatLiesOutside) {
  std::vector<float> values;
  for (int i = 0; i < 1000; ++i) values.push_back((i + 0.5F) / 1000);
  for (int i = 0; i < 1000; ++i) values.push_back(0);
  const RangeEstimator estimator =
      Observed(Options(RangeMethod::kMse), {values});
  EXPECT_NEAR(estimator.ClippedShare({0, 0.75F}), 0.125, 1e-3);
  EXPECT_EQ(estimator.ClippedShare({0, 1}), 0);
  EXPECT_EQ(estimator.HistogramZeros(), 1000);
  const auto counts = estimator.HistogramCounts();
  EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), int64_t{0}), 1000);
}

// The part of the samples before a split, and the histogram of that part over
// the bounds of all.
TEST(RangeEstimatorTest, APartKnowsNothingOfTheRest) {
  std::mt19937 random(8);
  std::normal_distribution<float> normal(0, 1);
  const auto part = Draw(20000, [&] { return normal(random); });
  const auto rest = Draw(20000, [&] { return 10 * normal(random); });
  RangeEstimator whole(Options(RangeMethod::kMse));
  ASSERT_TRUE(whole.ObserveBounds(part).ok());
  RangeEstimator copy = whole;
  ASSERT_TRUE(whole.ObserveBounds(rest).ok());
  whole.ObserveHistogram(part);
  copy.AdoptHistogram(whole);
  whole.ObserveHistogram(rest);
  const RangeEstimator alone = Observed(Options(RangeMethod::kMse), {part});
  const Range want = alone.Estimate(256, false);
  const Range got = copy.Estimate(256, false);
  EXPECT_EQ(copy.bounds().hi, alone.bounds().hi);
  EXPECT_NEAR(got.hi, want.hi, 0.1 * want.hi);
  EXPECT_GT(whole.Estimate(256, false).hi, 3 * want.hi);
}

}  // namespace
}  // namespace quantserve
