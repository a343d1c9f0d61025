#include "server/rpc/log.h"

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "spdlog/spdlog.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

// A newline, ANSI's and C1's escapes, quotes, a separator that ends lines for
// some, and what is no UTF-8.
const char kHostile[] =
    "a\nb\r\x1b[31m\xc2\x9b\"}\xe2\x80\xa8\\n\xff\xfe\x7f{\"level\":\"info\"}";

// What stderr gets of `write`, line by line.
template <typename Write>
std::vector<std::string> LinesOf(const LogConfig& config, Write write) {
  const auto before = spdlog::default_logger();
  ::testing::internal::CaptureStderr();
  SetUpLog(config);
  write();
  spdlog::default_logger()->flush();
  const std::string text = ::testing::internal::GetCapturedStderr();
  spdlog::set_default_logger(before);
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

CallRecord Hostile() {
  CallRecord call;
  call.rpc = "Predict";
  call.status = absl::NotFoundError(kHostile);
  call.duration = absl::Milliseconds(1500);
  call.peer = "ipv4:127.0.0.1:1";
  call.model = "m";
  call.variant = "int8";
  call.id = kHostile;
  return call;
}

TEST(LogTest, PlainLinesAreAsciiWhateverTheySay) {
  const auto lines = LinesOf({}, [] {
    spdlog::warn("{}", kHostile);
    LogCall(LogLevel::kInfo, Hostile());
  });
  ASSERT_THAT(lines, SizeIs(2));
  for (const std::string& line : lines) {
    for (const char c : line) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << line;
  }
  EXPECT_THAT(lines[0], HasSubstr(" W a\\nb\\r\\x1b[31m\\xc2\\x9b\"}"));
  EXPECT_THAT(lines[0], HasSubstr("\\\\n\\xff"));
  EXPECT_THAT(lines[1],
              HasSubstr(" I Predict from ipv4:127.0.0.1:1: NOT_FOUND after "
                        "1.5s, model m, variant int8, id \"a\\nb"));
}

TEST(LogTest, JsonLinesAreObjectsWithTheCallsFields) {
  const auto lines = LinesOf({LogFormat::kJson, LogLevel::kInfo}, [] {
    spdlog::error("{}", kHostile);
    LogCall(LogLevel::kInfo, Hostile());
    LogCall(LogLevel::kDebug, Hostile());
  });
  ASSERT_THAT(lines, SizeIs(2));
  for (const std::string& line : lines) {
    for (const char c : line) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << line;
  }
  const auto error = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(error["level"], "error");
  EXPECT_THAT(error["time"].get<std::string>(),
              ::testing::ContainsRegex("^20.*T.*Z$"));
  EXPECT_THAT(error["message"].get<std::string>(),
              HasSubstr("a\nb\r\x1b[31m\xc2\x9b\"}\xe2\x80\xa8\\n"));
  EXPECT_EQ(error.count("rpc"), 0);
  const auto call = nlohmann::json::parse(lines[1]);
  EXPECT_EQ(call["rpc"], "Predict");
  EXPECT_EQ(call["code"], "NOT_FOUND");
  EXPECT_EQ(call["duration"], 1.5);
  EXPECT_EQ(call["peer"], "ipv4:127.0.0.1:1");
  EXPECT_EQ(call["model"], "m");
  EXPECT_EQ(call["variant"], "int8");
  EXPECT_EQ(call["id"], call["message"]);
}

TEST(LogTest, EmptyFieldsAreLeftOut) {
  CallRecord call;
  call.rpc = "GetStatus";
  const auto lines = LinesOf({LogFormat::kJson, LogLevel::kDebug},
                             [&] { LogCall(LogLevel::kDebug, call); });
  ASSERT_THAT(lines, SizeIs(1));
  const auto line = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(line["level"], "debug");
  EXPECT_EQ(line["code"], "OK");
  for (const char* field : {"model", "variant", "id"}) {
    EXPECT_EQ(line.count(field), 0) << field;
  }
}

TEST(LogTest, LevelsLeaveOutWhatIsBelow) {
  EXPECT_THAT(LinesOf({LogFormat::kPlain, LogLevel::kError},
                      [] {
                        spdlog::warn("w");
                        spdlog::error("e");
                      }),
              SizeIs(1));
}

TEST(LogTest, LongEntriesAreCut) {
  EXPECT_THAT(EscapeForLog(std::string(10000, 'x')), SizeIs(4096));
}

}  // namespace
}  // namespace quantserve
