#include "quant/report/format.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace quantserve::report {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(FormatTest, CountsHaveThousandsSeparators) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1000), "1,000");
  EXPECT_EQ(FormatCount(-1234567), "−1,234,567");
  EXPECT_EQ(FormatCount(std::numeric_limits<int64_t>::min()),
            "−9,223,372,036,854,775,808");
}

TEST(FormatTest, LargeNumbersHavePrefixesAndThreeDigits) {
  EXPECT_EQ(FormatSi(940), "940");
  EXPECT_EQ(FormatSi(1'814'073'344), "1.81\u202fG");
  EXPECT_EQ(FormatSi(999'960), "1.00\u202fM");
  EXPECT_EQ(FormatSi(40'960), "41.0\u202fk");
  EXPECT_EQ(FormatBytes(512), "512\u202fB");
  EXPECT_EQ(FormatBytes(44'700'000), "44.7\u202fMB");
}

TEST(FormatTest, SharesAreNeverRoundedToAllOrNothing) {
  EXPECT_EQ(FormatPercent(0.9154), "91.54\u202f%");
  EXPECT_EQ(FormatPercent(1), "100\u202f%");
  EXPECT_EQ(FormatPercent(0.999999), "> 99.99\u202f%");
  EXPECT_EQ(FormatPercent(0), "0\u202f%");
  EXPECT_EQ(FormatPercent(0.000012), "0.0012\u202f%");
  EXPECT_EQ(FormatPercent(1e-9), "< 0.001\u202f%");
  EXPECT_EQ(FormatPoints(-0.001), "−0.10\u202fpoints");
  EXPECT_EQ(FormatPoints(-1e-7), "±0.00\u202fpoints");
}

TEST(FormatTest, DurationsHaveTheUnitThatFits) {
  EXPECT_EQ(FormatElapsed(absl::ZeroDuration()), "0\u202fs");
  EXPECT_EQ(FormatElapsed(absl::Nanoseconds(0.25)), "< 1\u202fns");
  EXPECT_EQ(FormatElapsed(absl::Microseconds(356)), "356\u202fµs");
  EXPECT_EQ(FormatElapsed(absl::Microseconds(12400)), "12.4\u202fms");
  EXPECT_EQ(FormatElapsed(absl::Seconds(41.2)), "41.2\u202fs");
  EXPECT_EQ(FormatElapsed(absl::Seconds(125)), "2\u202fmin\u202f5\u202fs");
  EXPECT_EQ(FormatElapsed(absl::Hours(2)), "2\u202fh\u202f0\u202fmin");
  EXPECT_EQ(FormatElapsed(-absl::Milliseconds(3)), "−3.00\u202fms");
}

TEST(FormatTest, RealsHaveThreeDigitsAndPowersOfTen) {
  EXPECT_EQ(FormatReal(0), "0");
  EXPECT_EQ(FormatReal(-2.618), "−2.62");
  EXPECT_EQ(FormatReal(52.04), "52.0");
  EXPECT_EQ(FormatReal(0.0213), "0.0213");
  EXPECT_EQ(FormatReal(1.2e-7), "1.20×10⁻⁷");
  EXPECT_EQ(FormatReal(-3.4e38), "−3.40×10³⁸");
}

TEST(FormatTest, WhatIsNoNumberIsADashAndInfinityIsItself) {
  EXPECT_EQ(FormatDb(kInf), "∞\u202fdB");
  EXPECT_EQ(FormatDb(-kInf), "−∞\u202fdB");
  EXPECT_EQ(FormatDb(kNan), kMissing);
  EXPECT_EQ(FormatReal(kNan), kMissing);
  EXPECT_EQ(FormatReal(-kInf), "−∞");
  EXPECT_EQ(FormatPercent(kNan), kMissing);
  EXPECT_EQ(FormatPoints(kNan), kMissing);
  EXPECT_EQ(FormatRatio(kInf), kMissing);
  EXPECT_EQ(FormatElapsed(absl::InfiniteDuration()), "∞");
  EXPECT_EQ(PlainNumber(kNan, 2), "0");
}

TEST(FormatTest, PlainNumbersAreShort) {
  EXPECT_EQ(PlainNumber(12.50, 2), "12.5");
  EXPECT_EQ(PlainNumber(-0.001, 2), "0");
  EXPECT_EQ(PlainNumber(100, 0), "100");
}

}  // namespace
}  // namespace quantserve::report
