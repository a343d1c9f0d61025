#include "client/cli/numbers.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(NumbersTest, ReadsLists) {
  EXPECT_THAT(*ParseIntegers("shape", "3,32,-1"), ElementsAre(3, 32, -1));
  EXPECT_THAT(*ParseNumbers("mean", "0.485,1e-3"), ElementsAre(0.485, 1e-3));
  EXPECT_THAT(*ParseNumbers("mean", "2"), ElementsAre(2));
  EXPECT_TRUE(ParseNumbers("mean", "")->empty());
}

TEST(NumbersTest, NamesTheFlagAndThePart) {
  for (const char* text :
       {"1,x", "1,,2", "nan", "1,inf", "1;2", ",", "1e999"}) {
    const auto numbers = ParseNumbers("std", text);
    EXPECT_EQ(numbers.status().code(), absl::StatusCode::kInvalidArgument)
        << text;
    EXPECT_THAT(std::string(numbers.status().message()),
                HasSubstr("flag --std has \""));
  }
  for (const char* text : {"1.5", "99999999999999999999", "1,"}) {
    EXPECT_FALSE(ParseIntegers("shape", text).ok()) << text;
  }
}

}  // namespace
}  // namespace quantserve
