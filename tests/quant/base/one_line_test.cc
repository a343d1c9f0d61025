#include "quant/base/one_line.h"

#include <string>

#include "gtest/gtest.h"

namespace quantserve {
namespace {

TEST(OneLineTest, LeavesGoodMessagesAlone) {
  const absl::Status good = absl::NotFoundError("no shard \"größe.bin\"");
  EXPECT_EQ(OneLine(good), good);
  EXPECT_EQ(OneLine(absl::OkStatus()), absl::OkStatus());
}

TEST(OneLineTest, ControlCharactersAreQuestionMarks) {
  EXPECT_EQ(OneLine(absl::InvalidArgumentError("a\nb\tc\x1b[31m\x7f")),
            absl::InvalidArgumentError("a?b?c?[31m?"));
}

TEST(OneLineTest, LongMessagesAreCutBetweenCharacters) {
  EXPECT_EQ(OneLine(absl::InvalidArgumentError("abcdef"), 3).message(),
            "abc...");
  EXPECT_EQ(OneLine(absl::InvalidArgumentError("abcdef"), 6).message(),
            "abcdef");
  // The second half of the umlaut would be the fourth byte.
  EXPECT_EQ(OneLine(absl::InvalidArgumentError("abcüd"), 4).message(),
            "abc...");
  EXPECT_EQ(OneLine(absl::InvalidArgumentError("abcüd"), 5).message(),
            "abcü...");
}

}  // namespace
}  // namespace quantserve
