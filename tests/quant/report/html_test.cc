#include "quant/report/html.h"

#include "gtest/gtest.h"
#include "quant/report/chart.h"

namespace quantserve::report {
namespace {

TEST(EscapeTest, MarkupBecomesText) {
  EXPECT_EQ(Escape("<script>alert('1')</script>"),
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;");
  EXPECT_EQ(Escape("\" onload=x &amp;"), "&quot; onload=x &amp;amp;");
}

TEST(EscapeTest, OtherLanguagesStay) {
  EXPECT_EQ(Escape("Größe 層 ∞ 𝛼"), "Größe 層 ∞ 𝛼");
}

TEST(EscapeTest, WhatCannotBeShownIsReplaced) {
  EXPECT_EQ(Escape("a\x01\x1b\x7f"), "a\ufffd\ufffd\ufffd");
  EXPECT_EQ(Escape(absl::string_view("a\0b", 3)), "a\ufffdb");
  EXPECT_EQ(Escape("a\tb\nc"), "a b c");
  // Characters that turn the direction of what follows.
  EXPECT_EQ(Escape("x\u202etxt.exe"), "x\ufffdtxt.exe");
  EXPECT_EQ(Escape("\u0085"), "\ufffd");
}

TEST(EscapeTest, BrokenUtf8IsReplaced) {
  EXPECT_EQ(Escape("\xff"), "\ufffd");
  EXPECT_EQ(Escape("\xc0\x80"), "\ufffd\ufffd");              // overlong
  EXPECT_EQ(Escape("\xed\xa0\x80x"), "\ufffd\ufffd\ufffdx");  // surrogate
  EXPECT_EQ(Escape("\xf4\x90\x80\x80"),
            "\ufffd\ufffd\ufffd\ufffd");          // beyond Unicode
  EXPECT_EQ(Escape("\xe2\x82"), "\ufffd\ufffd");  // cut off
  EXPECT_EQ(Escape("\xc3<"), "\ufffd&lt;");       // swallows nothing
}

TEST(EscapeTest, EndlessNamesAreCut) {
  EXPECT_EQ(Escape(std::string(1'000'000, 'W')), std::string(300, 'W') + "…");
  EXPECT_EQ(Escape(std::string(300, 'W')), std::string(300, 'W'));
}

TEST(AxisTest, HoldsZeroAndEveryValueWithRoundTicks) {
  const Axis axis = AxisFor({12, 46});
  EXPECT_EQ(axis.lo, 0);
  EXPECT_EQ(axis.hi, 50);
  EXPECT_EQ(axis.step, 10);
  EXPECT_EQ(axis.Y(50), 0);
  EXPECT_EQ(axis.Y(0), 100);
  EXPECT_LE(AxisFor({-3, 4}).lo, -3);
}

TEST(AxisTest, EveryNumberHasAPlace) {
  for (const std::vector<double>& values : {std::vector<double>{},
                                            {0},
                                            {1e300, -1e300},
                                            {1e-300},
                                            {NAN},
                                            {INFINITY, -INFINITY}}) {
    const Axis axis = AxisFor(values);
    EXPECT_LT(axis.lo, axis.hi);
    EXPECT_LE((axis.hi - axis.lo) / axis.step, 12);
    for (double value : values) {
      EXPECT_GE(axis.Y(value), 0);
      EXPECT_LE(axis.Y(value), 100);
    }
  }
}

}  // namespace
}  // namespace quantserve::report
