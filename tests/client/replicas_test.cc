#include "client/quantctl/replicas.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"
#include "client/quantctl/command.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

ABSL_DECLARE_FLAG(std::string, all);

namespace quantserve {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ReplicasTest, ListsStandAsTheyAreAndEachAddressCountsOnce) {
  const auto v4 =
      ResolveReplicas("ipv4:10.0.0.2:8001,10.0.0.1:8001,10.0.0.2:8001");
  ASSERT_TRUE(v4.ok()) << v4.status();
  EXPECT_THAT(v4->targets, ElementsAre("10.0.0.2:8001", "10.0.0.1:8001"));
  EXPECT_EQ(v4->name, "");
  const auto v6 = ResolveReplicas("ipv6:[fd00::7]:8001,[::1]:1");
  ASSERT_TRUE(v6.ok()) << v6.status();
  EXPECT_THAT(v6->targets, ElementsAre("[fd00::7]:8001", "[::1]:1"));
}

// Certificates are for names, not for the addresses behind them.
TEST(ReplicasTest, ANameIsLookedUpAndKeptForTls) {
  for (const char* target :
       {"dns:///localhost:8001", "dns:localhost:8001", "localhost:8001"}) {
    const auto replicas = ResolveReplicas(target);
    ASSERT_TRUE(replicas.ok()) << replicas.status();
    EXPECT_THAT(replicas->targets, Contains("127.0.0.1:8001")) << target;
    EXPECT_EQ(replicas->name, "localhost") << target;
  }
  const auto literal = ResolveReplicas("dns:///127.0.0.1:8001");
  ASSERT_TRUE(literal.ok()) << literal.status();
  EXPECT_THAT(literal->targets, ElementsAre("127.0.0.1:8001"));
  EXPECT_EQ(literal->name, "");
}

TEST(ReplicasTest, WhatIsNoTargetIsAMistakeOnTheCommandLine) {
  for (const char* target :
       {"", "dns:///", "dns:///name", "dns:///name:", "dns:///name:http",
        "dns:///name:0", "dns:///name:65536", "dns:///:8001",
        "dns://8.8.8.8/name:1", "ipv4:name:1", "ipv4:10.0.0.1",
        "ipv4:10.0.0.1:1,", "ipv4:[::1]:1", "ipv6:10.0.0.1:1", "[::1:8001",
        "unix:/run/socket"}) {
    const auto replicas = ResolveReplicas(target);
    EXPECT_TRUE(IsUsageError(replicas.status())) << target;
    EXPECT_THAT(std::string(replicas.status().message()),
                HasSubstr("want dns:///NAME:PORT"));
  }
  const auto nobody = ResolveReplicas("dns:///no-such-name.invalid:8001");
  EXPECT_EQ(nobody.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(nobody.status().message()),
              HasSubstr("no address for \"no-such-name.invalid\""));
}

TEST(ReplicasTest, TheFirstRefusalEndsTheRoundAndSaysHowFarItCame) {
  const absl::FlagSaver saver;
  absl::SetFlag(&FLAGS_all, "ipv4:127.0.0.1:1,127.0.0.2:1,127.0.0.3:1");
  std::vector<std::string> asked;
  const absl::Status status = OnEachServer([&asked](const Turn& turn) {
    asked.push_back(turn.label);
    return turn.index == 1 ? absl::FailedPreconditionError("the gate refused")
                           : absl::OkStatus();
  });
  EXPECT_THAT(asked, ElementsAre("127.0.0.1:1: ", "127.0.0.2:1: "));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(),
            "127.0.0.2:1, replica 2 of 3: the gate refused; done: 1, not "
            "asked: 1");
  // Without --all, one call, and its own words.
  absl::SetFlag(&FLAGS_all, "");
  asked.clear();
  const absl::Status alone = OnEachServer([&asked](const Turn& turn) {
    asked.push_back(turn.label);
    return absl::AbortedError("busy");
  });
  EXPECT_THAT(asked, ElementsAre(""));
  EXPECT_EQ(alone, absl::AbortedError("busy"));
}

}  // namespace
}  // namespace quantserve
