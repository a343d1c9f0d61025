#include "client/cli/command_line.h"

#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

ABSL_FLAG(std::string, text, "", "Some text. Default: none.");
ABSL_FLAG(int32_t, number, 7, "A number.");
ABSL_FLAG(bool, nice, false, "Whether to be nice.");
ABSL_FLAG(int32_t, foreign, 1, "A flag of another part of the process.");

namespace quantserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

CommandLine Line(size_t positional = 0) {
  return {"Does things.",
          "tool [flags]",
          {{"Flags", {"text", "number", "nice"}}},
          "The end.\n",
          positional};
}

absl::StatusOr<Arguments> ParseAll(const std::vector<std::string>& arguments,
                                   size_t positional = 0) {
  return Parse(Line(positional), arguments);
}

TEST(CommandLineTest, TakesEveryWayToWriteAFlag) {
  const auto parsed =
      ParseAll({"--text=a=b", "-number", "8", "--nice", "file"}, 1);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(absl::GetFlag(FLAGS_text), "a=b");
  EXPECT_EQ(absl::GetFlag(FLAGS_number), 8);
  EXPECT_TRUE(absl::GetFlag(FLAGS_nice));
  EXPECT_THAT(parsed->given, ElementsAre("nice", "number", "text"));
  EXPECT_THAT(parsed->positional, ElementsAre("file"));
  ASSERT_TRUE(ParseAll({"--nonice", "--text="}).ok());
  EXPECT_FALSE(absl::GetFlag(FLAGS_nice));
  EXPECT_EQ(absl::GetFlag(FLAGS_text), "");
  ASSERT_TRUE(ParseAll({"--nice=true"}).ok());
  EXPECT_TRUE(absl::GetFlag(FLAGS_nice));
}

TEST(CommandLineTest, TwoDashesEndTheFlags) {
  const auto parsed = ParseAll({"--", "--text=x"}, 1);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_THAT(parsed->positional, ElementsAre("--text=x"));
}

TEST(CommandLineTest, HelpWinsOverWhatComesAfterIt) {
  for (const char* help : {"--help", "-h", "-help"}) {
    const auto parsed = ParseAll({help, "--unknown"});
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_TRUE(parsed->help);
  }
}

TEST(CommandLineTest, EachMistakeIsOneLineThatNamesIt) {
  struct Case {
    std::vector<std::string> arguments;
    const char* message;
  };
  const Case cases[] = {
      {{"--txet=a"}, "unknown flag --txet=a"},
      {{"--notext"}, "unknown flag --notext"},
      {{"--foreign=2"}, "unknown flag --foreign=2"},
      {{"--number=many"}, "flag --number has the value \"many\""},
      {{"--number=99999999999"}, "flag --number has the value"},
      {{"--number"}, "flag --number needs a value"},
      {{"--nice=perhaps"}, "flag --nice has the value \"perhaps\""},
      {{"--nonice=true"}, "flag --nonice takes no value"},
      {{"file"}, "unexpected argument \"file\""},
  };
  for (const Case& c : cases) {
    const auto parsed = ParseAll(c.arguments);
    ASSERT_FALSE(parsed.ok()) << c.message;
    const std::string message(parsed.status().message());
    EXPECT_THAT(message, HasSubstr(c.message));
    EXPECT_THAT(message, Not(HasSubstr("\n")));
  }
}

TEST(CommandLineTest, TheUsagePageHasOwnFlagsWithTheirDefaultsOnly) {
  const std::string page = UsagePage(Line());
  EXPECT_THAT(page, HasSubstr("Usage: tool [flags]"));
  EXPECT_THAT(page, HasSubstr("--number (default 7)\n      A number."));
  EXPECT_THAT(page, HasSubstr("--text\n"));
  EXPECT_THAT(page, HasSubstr("The end."));
  EXPECT_THAT(page, Not(HasSubstr("foreign")));
}

}  // namespace
}  // namespace quantserve
