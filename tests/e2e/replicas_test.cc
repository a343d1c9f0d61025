// Several servers behind one name, administrated by quantctl.
#include <csignal>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_process.h"

namespace quantserve {
namespace {

using testing::Finished;
using ::testing::HasSubstr;
using testing::RunProcess;
using testing::ServerProcess;
using testing::TempPath;

// Two on one port, as pods have it, with one folder for their artifacts.
class ReplicasTest : public ::testing::Test {
 protected:
  ReplicasTest()
      : artifacts_(TempPath("artifacts")),
        first_(testing::SmallModel(), Flags("127.0.0.1", 0)),
        second_(testing::SmallModel(), Flags("127.0.0.2", first_.port())) {
    for (const std::string& target : Targets()) {
      const absl::Status ready = Client(target).AwaitReady(absl::Minutes(3));
      EXPECT_TRUE(ready.ok()) << target << ready;
    }
  }

  std::vector<std::string> Flags(const std::string& address, int port) const {
    return {"--artifact_dir=" + artifacts_, "--address=" + address,
            absl::StrCat("--port=", port), "--admin_port=0", "--keep_previous"};
  }
  std::vector<std::string> Targets() const {
    return {first_.target(), absl::StrCat("127.0.0.2:", second_.port())};
  }
  std::string All() const {
    return "--all=ipv4:" + Targets()[0] + "," + Targets()[1];
  }
  static Finished Quantctl(std::vector<std::string> command) {
    command.insert(command.begin(),
                   absl::StrCat(QUANTSERVE_BIN_DIR, "/quantctl"));
    return RunProcess(command, absl::Minutes(5));
  }
  int64_t Served(size_t replica) const {
    const auto status = Client(Targets()[replica]).GetStatus();
    EXPECT_TRUE(status.ok()) << status.status();
    return status.ok() ? status->models(0).variants(1).generation() : -1;
  }

  const std::string artifacts_;
  ServerProcess first_, second_;
};

TEST_F(ReplicasTest, OneQuantizesAndTheOthersLoadWhatItDecided) {
  const Finished run =
      Quantctl({"quantize", All(), "--range_method=percentile"});
  EXPECT_EQ(run.code, 0) << run.err;
  const std::vector<std::string> lines = absl::StrSplit(run.out, '\n');
  ASSERT_EQ(lines.size(), 3) << run.out;
  EXPECT_THAT(lines[0],
              HasSubstr(Targets()[0] + ": published as generation 2"));
  EXPECT_THAT(lines[0], HasSubstr("calibrated, gate passed"));
  EXPECT_THAT(lines[1],
              HasSubstr(Targets()[1] + ": published as generation 2"));
  EXPECT_THAT(lines[1], HasSubstr("loaded, gate passed"));
  // The same recipe, whoever decided it.
  const auto recipe = [](const std::string& line) {
    return line.substr(line.find(", recipe ") + 9, 12);
  };
  EXPECT_EQ(recipe(lines[0]), recipe(lines[1])) << run.out;
  EXPECT_EQ(Served(0), 2);
  EXPECT_EQ(Served(1), 2);

  const Finished back = Quantctl({"rollback", All()});
  EXPECT_EQ(back.code, 0) << back.err;
  EXPECT_THAT(back.out, HasSubstr(Targets()[1] + ": int8 generation 1"));
  EXPECT_EQ(Served(0), 1);
  EXPECT_EQ(Served(1), 1);
  const Finished route = Quantctl({"route", All(), "--int8_percent=10"});
  EXPECT_EQ(route.code, 0) << route.err;
  EXPECT_THAT(route.out, HasSubstr(Targets()[1] + ": int8 gets 10 %"));
}

// The one that refused and those behind it serve on what they served.
TEST_F(ReplicasTest, TheFirstRefusalStopsTheRound) {
  const Finished run =
      Quantctl({"quantize", All(), "--max_drop=0", "--min_speedup=1000"});
  EXPECT_EQ(run.code, 1);
  EXPECT_THAT(run.err, HasSubstr(Targets()[0] + ", replica 1 of 2: "));
  EXPECT_THAT(run.err, HasSubstr("done: 0, not asked: 1"));
  EXPECT_EQ(Served(0), 1);
  EXPECT_EQ(Served(1), 1);
  second_.process().Signal(SIGKILL);
  second_.process().Wait(absl::Seconds(10));
  const Finished gone = Quantctl({"quantize", All()});
  EXPECT_EQ(gone.code, 1);
  EXPECT_THAT(gone.err, HasSubstr(Targets()[1] + ", replica 2 of 2: "));
  EXPECT_THAT(gone.err, HasSubstr("UNAVAILABLE"));
  EXPECT_EQ(Served(0), 2);
}

// A name with two addresses, as a headless service has it: in a mount namespace
// of its own /etc/hosts may say so.
TEST_F(ReplicasTest, ANameStandsForAllItsAddresses) {
  const std::vector<std::string> unshare = {"unshare", "--user",
                                            "--map-root-user", "--mount"};
  std::vector<std::string> probe = unshare;
  probe.emplace_back("true");
  if (RunProcess(probe).code != 0) {
    GTEST_SKIP() << "this system gives no mount namespaces to its users";
  }
  const std::string hosts = testing::WriteBytes(
      "hosts", "127.0.0.1 replicas.test\n127.0.0.2 replicas.test\n");
  std::vector<std::string> command = unshare;
  command.insert(command.end(),
                 {"sh", "-c",
                  absl::StrCat("mount --bind ", hosts, " /etc/hosts && exec ",
                               QUANTSERVE_BIN_DIR,
                               "/quantctl route --int8_percent=5 "
                               "--all=dns:///replicas.test:",
                               first_.port())});
  const Finished run = RunProcess(command);
  EXPECT_EQ(run.code, 0) << run.err;
  for (const std::string& target : Targets()) {
    EXPECT_THAT(run.out, HasSubstr(target + ": int8 gets 5 %"));
  }
}

}  // namespace
}  // namespace quantserve
