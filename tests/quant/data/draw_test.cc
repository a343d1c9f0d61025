#include "quant/data/draw.h"

#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;

TEST(ReservoirSampleTest, DrawsAscendingNumbersOncePerNumber) {
  for (const int64_t count : {0, 1, 5, 99, 100}) {
    const auto drawn = ReservoirSample(100, count, 3);
    ASSERT_EQ(static_cast<int64_t>(drawn.size()), count);
    for (size_t i = 0; i < drawn.size(); ++i) {
      EXPECT_GE(drawn[i], i == 0 ? 0 : drawn[i - 1] + 1);
      EXPECT_LT(drawn[i], 100);
    }
  }
}

// Guards files that were quantized with drawn samples: the numbers must be the
// same on every machine and in every version.
TEST(ReservoirSampleTest, ASeedAlwaysMeansTheSameNumbers) {
  EXPECT_EQ(ReservoirSample(1000, 6, 0), ReservoirSample(1000, 6, 0));
  EXPECT_NE(ReservoirSample(1000, 6, 0), ReservoirSample(1000, 6, 1));
  EXPECT_EQ(ReservoirSample(1000, 6, 42),
            (std::vector<int64_t>{135, 393, 632, 645, 700, 912}));
}

// Every number equally often: Pearson's statistic over 4,000 draws of 20 out of
// 200 has 199 degrees of freedom (199 +- 20; 3.5 deviations are allowed, and
// being a fixed seed it never flickers). Draws without replacement vary less,
// by the factor 1 - 20/200, which is divided out.
TEST(ReservoirSampleTest, EveryNumberIsEquallyLikely) {
  constexpr int kNumbers = 200, kCount = 20, kDraws = 4000;
  std::vector<double> seen(kNumbers, 0);
  for (int seed = 0; seed < kDraws; ++seed) {
    for (int64_t number : ReservoirSample(kNumbers, kCount, seed)) {
      ++seen[number];
    }
  }
  const double expected = 1.0 * kDraws * kCount / kNumbers;
  double chi2 = 0;
  for (double n : seen) chi2 += (n - expected) * (n - expected) / expected;
  chi2 /= 1.0 - 1.0 * kCount / kNumbers;
  EXPECT_NEAR(chi2, kNumbers - 1, 3.5 * std::sqrt(2.0 * (kNumbers - 1)));
}

// Guards files that were quantized with shuffled samples, as above.
TEST(ShuffledTest, ASeedAlwaysMeansTheSameOrder) {
  const auto order = [](const DrawnSamples& drawn, uint64_t seed) {
    const DrawnSamples shuffled = Shuffled(drawn, seed);
    EXPECT_EQ(shuffled.population(), drawn.population());
    std::vector<int64_t> numbers;
    for (int64_t i = 0; i < shuffled.size(); ++i)
      numbers.push_back(shuffled[i]);
    return numbers;
  };
  EXPECT_EQ(order(DrawnSamples(8), 0), order(DrawnSamples(8), 0));
  EXPECT_NE(order(DrawnSamples(8), 0), order(DrawnSamples(8), 1));
  EXPECT_EQ(order(DrawnSamples(8), 42),
            (std::vector<int64_t>{2, 1, 7, 0, 3, 5, 4, 6}));
  EXPECT_THAT(order(DrawnSamples(9, {1, 4, 7}), 5),
              ::testing::UnorderedElementsAre(1, 4, 7));
  EXPECT_EQ(order(DrawnSamples(1), 5), std::vector<int64_t>{0});
  EXPECT_TRUE(order(DrawnSamples(), 5).empty());
}

// Each of the 24 orders of 4 equally often: 23 degrees of freedom, as below.
TEST(ShuffledTest, EveryOrderIsEquallyLikely) {
  constexpr int kShuffles = 24000;
  std::map<std::vector<int64_t>, int> seen;
  for (int seed = 0; seed < kShuffles; ++seed) {
    const DrawnSamples s = Shuffled(DrawnSamples(4), seed);
    ++seen[{s[0], s[1], s[2], s[3]}];
  }
  ASSERT_EQ(seen.size(), 24u);
  double chi2 = 0;
  for (const auto& [order, n] : seen)
    chi2 += (n - 1000.0) * (n - 1000.0) / 1000;
  EXPECT_LT(chi2, 23 + 3.5 * std::sqrt(2.0 * 23));
}

TEST(DrawSamplesTest, TakesWhatFits) {
  const struct {
    const char* name;
    int64_t population, bytes, max_samples, max_bytes, want;
  } kCases[] = {
      {"all", 10, 84, 0, 1000, 10},
      {"as many as fit, with 16 bytes beside each", 11, 84, 0, 1000, 10},
      {"no more than wanted", 11, 84, 4, 1000, 4},
      {"no more than fit", 11, 84, 20, 300, 3},
      {"just one", 11, 84, 0, 100, 1},
      {"one there is", 1, 84, 0, 100, 1},
  };
  for (const auto& c : kCases) {
    ReadShardOptions options;
    options.max_samples = c.max_samples;
    options.max_sample_bytes = c.max_bytes;
    const auto drawn = DrawSamples(c.population, c.bytes, options);
    ASSERT_TRUE(drawn.ok()) << drawn.status();
    EXPECT_EQ(drawn->size(), c.want) << c.name;
    EXPECT_EQ(drawn->population(), c.population) << c.name;
  }
}

TEST(DrawSamplesTest, RefusesSamplesThatCannotFit) {
  ReadShardOptions options;
  options.max_sample_bytes = 99;
  EXPECT_EQ(DrawSamples(3, 84, options).status().message(),
            "has samples that take 100 bytes, expected at most 99 "
            "(max_sample_bytes)");
  EXPECT_THAT(
      std::string(DrawSamples(int64_t{1} << 31, 1, options).status().message()),
      HasSubstr("has 2147483648 samples, expected at most 2147483647"));
}

TEST(ReadShardOptionsTest, RefusesWhatMakesNoSense) {
  const auto message = [](auto change) {
    ReadShardOptions options;
    change(&options);
    return std::string(options.Validate().message());
  };
  EXPECT_EQ(message([](auto*) {}), "");
  EXPECT_THAT(message([](auto* o) { o->max_samples = -1; }),
              HasSubstr("max_samples is -1, expected 0 to"));
  EXPECT_THAT(message([](auto* o) { o->max_sample_bytes = 0; }),
              HasSubstr("max_sample_bytes is 0, expected 1 to"));
  EXPECT_THAT(message([](auto* o) { o->max_bytes = -5; }),
              HasSubstr("max_bytes is -5, expected 1 to"));
  EXPECT_EQ(message([](auto* o) { o->images.resize = -1; }),
            "resize is -1, expected 0 to 16384");
  EXPECT_EQ(message([](auto* o) { o->images.crop = 16385; }),
            "crop is 16385, expected 0 to 16384");
  EXPECT_EQ(message([](auto* o) { o->images.max_pixels = 0; }),
            "max_pixels is 0, expected 1 to 2147483647");
}

}  // namespace
}  // namespace quantserve
