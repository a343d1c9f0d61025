// The detector on series whose truth is known.
#include "tests/testing/leak_detector.h"

#include <cmath>
#include <functional>
#include <random>

#include "gtest/gtest.h"

namespace quantserve::testing {
namespace {

constexpr double kStep = 1e6;  // what a leaked generation takes

std::vector<double> Series(const std::function<double(int)>& bytes,
                           double noise = 0) {
  std::mt19937 random(7);
  std::normal_distribution<double> normal(0, 1);
  std::vector<double> series;
  for (int i = 0; i < 100; ++i) {
    series.push_back(100e6 + bytes(i) + noise * normal(random));
  }
  return series;
}

TEST(LeakDetectorTest, TakesWhatComesAndGoesForNoLeak) {
  const struct {
    const char* what;
    std::function<double(int)> bytes;
    double noise;
  } cases[] = {
      {"nothing happens", [](int) { return 0; }, 0},
      {"noise of three generations", [](int) { return 0; }, 3 * kStep},
      {"a warm-up that ends",
       [](int i) { return 50e6 * (1 - std::exp(-i / 8.0)); }, kStep},
      {"one jump of the allocator's",
       [](int i) { return i < 60 ? 0 : 30 * kStep; }, kStep},
      {"every tenth sample has two generations",
       [](int i) { return i % 10 == 0 ? kStep : 0; }, 0},
      {"memory is given back", [](int i) { return -i * kStep; }, kStep},
      {"a list that grows by a kilobyte", [](int i) { return i * 1e3; }, kStep},
  };
  for (const auto& c : cases) {
    const LeakVerdict verdict = DetectLeak(Series(c.bytes, c.noise), kStep);
    EXPECT_FALSE(verdict.leaks) << c.what << ": " << verdict.text;
  }
}

TEST(LeakDetectorTest, FindsAPlantedLeak) {
  const struct {
    const char* what;
    std::function<double(int)> bytes;
    double noise;
  } cases[] = {
      {"every generation stays", [](int i) { return i * kStep; }, 0},
      {"under noise of three generations", [](int i) { return i * kStep; },
       3 * kStep},
      {"every second one stays", [](int i) { return i / 2 * kStep; }, kStep},
      {"three of ten stay", [](int i) { return 3 * (i / 10) * kStep; }, 0},
      {"it starts after the warm-up",
       [](int i) { return i < 30 ? 0 : (i - 30) * kStep; }, kStep},
      {"beside a warm-up",
       [](int i) { return i * kStep + 50e6 * (1 - std::exp(-i / 8.0)); },
       kStep},
  };
  for (const auto& c : cases) {
    const LeakVerdict verdict = DetectLeak(Series(c.bytes, c.noise), kStep);
    EXPECT_TRUE(verdict.leaks) << c.what << ": " << verdict.text;
  }
}

TEST(LeakDetectorTest, ReckonsWhatAStepAdds) {
  EXPECT_NEAR(
      DetectLeak(Series([](int i) { return i * 1234.0; }), kStep).per_step,
      1234, 1);
}

TEST(LeakDetectorTest, TooFewSamplesAreNoProof) {
  EXPECT_TRUE(DetectLeak(std::vector<double>(15, 1e6), kStep).leaks);
  EXPECT_FALSE(DetectLeak(std::vector<double>(16, 1e6), kStep).leaks);
}

}  // namespace
}  // namespace quantserve::testing
