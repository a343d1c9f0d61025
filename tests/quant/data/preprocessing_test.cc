#include "quant/data/preprocessing.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace quantserve {
namespace {

TEST(PreprocessingTest, ScalesThenSubtractsThenDividesPerChannel) {
  Preprocessing preprocessing;
  preprocessing.mean = {0.485, 0.456, 0.406};
  preprocessing.std = {0.229, 0.224, 0.225};
  std::vector<uint8_t> raw;
  for (int i = 0; i < 2 * 3 * 256; ++i) raw.push_back(i % 256);
  std::vector<float> out(raw.size());
  Preprocess(preprocessing, {3, 16, 16}, raw, absl::MakeSpan(out));
  for (size_t i = 0; i < raw.size(); ++i) {
    const size_t c = i / 256 % 3;
    const double want =
        (raw[i] / 255.0 - preprocessing.mean[c]) / preprocessing.std[c];
    ASSERT_NEAR(out[i], want, 1e-6) << i;
    // To the last bit what single precision gives.
    const float mean = static_cast<float>(preprocessing.mean[c]);
    const float std = static_cast<float>(preprocessing.std[c]);
    ASSERT_EQ(out[i], (raw[i] * static_cast<float>(1 / 255.0) - mean) / std);
  }
}

TEST(PreprocessingTest, OneNumberCountsForEveryChannel) {
  Preprocessing preprocessing;
  preprocessing.scale = 1;
  preprocessing.mean = {10};
  preprocessing.std = {2};
  const std::vector<uint8_t> raw = {10, 12, 0, 255};
  std::vector<float> out(4);
  Preprocess(preprocessing, {2}, raw, absl::MakeSpan(out));
  EXPECT_EQ(out, (std::vector<float>{0, 1, -5, 122.5F}));
}

TEST(PreprocessingTest, ByDefaultOnlyScales) {
  const std::vector<uint8_t> raw = {0, 255};
  std::vector<float> out(2);
  Preprocess(Preprocessing(), {1, 2}, raw, absl::MakeSpan(out));
  EXPECT_FLOAT_EQ(out[0], 0);
  EXPECT_FLOAT_EQ(out[1], 1);
}

TEST(PreprocessingTest, ValidateNamesTheListAndTheExpectation) {
  const double nan = std::nan("");
  const double inf = std::numeric_limits<double>::infinity();
  const struct {
    Preprocessing preprocessing;
    const char* message;
  } kBad[] = {
      {{1, {0.1, 0.2}, {}},
       "preprocessing mean has 2 values, expected none, 1 or 3"},
      {{1, {}, {1, 1, 1, 1}},
       "preprocessing std has 4 values, expected none, 1 or 3"},
      {{1, {}, {1, 0, 1}},
       "preprocessing std has the value 0, expected numbers from 1e-09 to "
       "1e+09"},
      {{1, {}, {-1}},
       "preprocessing std has the value -1, expected numbers from 1e-09 to "
       "1e+09"},
      {{1, {nan}, {}},
       "preprocessing mean has the value nan, expected numbers from -1e+09 to "
       "1e+09"},
      {{1, {}, {inf}},
       "preprocessing std has the value inf, expected numbers from -1e+09 to "
       "1e+09"},
      {{nan, {}, {}},
       "preprocessing scale is nan, expected a number from -1e+09 to 1e+09"},
  };
  for (const auto& c : kBad) {
    const absl::Status status = c.preprocessing.Validate(3);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(), c.message);
  }
  EXPECT_TRUE((Preprocessing{1, {1, 2, 3}, {2}}).Validate(3).ok());
  EXPECT_TRUE(Preprocessing().Validate(5).ok());
}

}  // namespace
}  // namespace quantserve
