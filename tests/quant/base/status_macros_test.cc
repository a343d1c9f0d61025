#include "quant/base/status_macros.h"

#include <memory>

#include "gtest/gtest.h"

namespace quantserve {
namespace {

absl::StatusOr<std::unique_ptr<int>> Box(int value) {
  if (value < 0) return absl::InvalidArgumentError("negative");
  return std::make_unique<int>(value);
}

absl::Status CheckSmall(int value) {
  return value < 10 ? absl::OkStatus() : absl::OutOfRangeError("too large");
}

absl::StatusOr<int> Sum(int a, int b) {
  QS_ASSIGN_OR_RETURN(const std::unique_ptr<int> x, Box(a));
  QS_ASSIGN_OR_RETURN(const std::unique_ptr<int> y, Box(b));
  QS_RETURN_IF_ERROR(CheckSmall(*x + *y));
  return *x + *y;
}

TEST(StatusMacrosTest, PassValuesOnAndReturnTheFirstError) {
  EXPECT_EQ(*Sum(3, 4), 7);
  EXPECT_EQ(Sum(-1, 4).status().message(), "negative");
  EXPECT_EQ(Sum(3, -4).status().message(), "negative");
  EXPECT_EQ(Sum(8, 4).status().code(), absl::StatusCode::kOutOfRange);
}

}  // namespace
}  // namespace quantserve
