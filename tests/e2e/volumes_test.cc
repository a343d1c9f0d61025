// What goes wrong around a container: volumes, permissions, memory, its
// configuration. One line says so; nothing half-made is ever served.
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_process.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;
using testing::Finished;
using ::testing::HasSubstr;
using testing::Process;
using testing::ReadBytes;
using testing::RunProcess;
using testing::TempPath;
using testing::TestModel;
using testing::WriteBytes;

using Words = std::vector<std::string>;

Words operator+(Words left, const Words& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// Runs what follows so that permissions bind it, as they bind a container's
// user. Root's own files lie outside of a user namespace's rights.
const Words* Unprivileged() {
  static const Words* const prefix = []() -> const Words* {
    if (geteuid() != 0) return new Words();
    const Words unshare = {"unshare", "--user", "--"};
    if (RunProcess(unshare + Words{"true"}).code != 0) return nullptr;
    return new Words(unshare);
  }();
  return prefix;
}

// A file system of a page for `dir`, before what follows runs.
const Words* FullVolume(const std::string& dir) {
  const Words unshare = {"unshare", "--user", "--map-root-user", "--mount",
                         "--"};
  if (RunProcess(unshare + Words{"true"}).code != 0) return nullptr;
  return new Words(unshare +
                   Words{"sh", "-c",
                         "mount -t tmpfs -o size=4k none \"$0\" && exec \"$@\"",
                         dir});
}

class VolumesTest : public ::testing::Test {
 protected:
  // Makes the file unreadable for everybody, and gives its path.
  static std::string Closed(const std::string& path) {
    chmod(path.c_str(), 0);
    return path;
  }
  static std::string Folder(const std::string& name) {
    std::string path = TempPath(name);
    fs::create_directory(path);
    return path;
  }
  Words Command(const Words& flags) const {
    return model_.Command() + Words{"--port=0", "--metrics_port=0"} + flags;
  }
  // Ends with `code` and one line that is no part of the log.
  static void ExpectOneLine(const Finished& run, int code,
                            const std::string& message) {
    EXPECT_EQ(run.code, code) << message << "\n" << run.err;
    Words said;
    for (absl::string_view line : absl::StrSplit(run.err, '\n')) {
      if (!line.empty() && !absl::StartsWith(line, "20")) {
        said.emplace_back(line);
      }
    }
    ASSERT_EQ(said.size(), 1) << message << "\n" << run.err;
    EXPECT_THAT(said[0], HasSubstr("quantserve_server: "));
    EXPECT_THAT(said[0], HasSubstr(message));
  }

  const TestModel& model_ = testing::SmallModel();
};

TEST_F(VolumesTest, WhatMayNotBeReadIsToldFromWhatIsNotThere) {
  const Words* unprivileged = Unprivileged();
  if (unprivileged == nullptr) {
    GTEST_SKIP() << "nothing here takes root's rights away from the server";
  }
  const std::string folder = Folder("closed");
  fs::copy_file(model_.model, folder + "/model.pt");
  fs::copy_file(model_.test, folder + "/test.bin");
  Closed(folder);
  const struct {
    std::string flag;
    int code;
    std::string message;
  } kCases[] = {
      {"--model=" + folder + "/model.pt", 1,
       folder + "/model.pt\" can't be read: Permission denied"},
      {"--model=" + Closed(WriteBytes("m.pt", ReadBytes(model_.model))), 1,
       "m.pt\" can't be read: Permission denied"},
      {"--test_shard=" + folder + "/test.bin", 1, "Permission denied"},
      {"--test_shard=" + folder, 1, folder},
      {"--test_shard=" + Closed(WriteBytes("t.bin", ReadBytes(model_.test))), 1,
       "t.bin\" can't be opened for reading: Permission denied"},
      {"--labels=" + Closed(WriteBytes("l.txt", "a\nb\n")), 1,
       "l.txt: Permission denied"},
      {"--config=" + Closed(WriteBytes("c.textproto", "port: 0\n")), 2,
       "c.textproto: Permission denied"},
      {"--config=" + folder + "/c.textproto", 2,
       "c.textproto: Permission denied"},
      {"--admin_token_file=" + Closed(WriteBytes("token", "sixteen letters!")),
       1, "token is empty or can't be read"},
  };
  for (const auto& c : kCases) {
    ExpectOneLine(RunProcess(*unprivileged + Command({c.flag})), c.code,
                  c.message);
  }
  chmod(folder.c_str(), 0700);
}

TEST_F(VolumesTest, AnEmptyVolumeStopsTheServer) {
  const std::string empty = Folder("empty");
  ExpectOneLine(RunProcess(Command({"--model=" + empty + "/model.pt"})), 1,
                empty + "/model.pt\" does not exist");
  ExpectOneLine(RunProcess(Command({"--model=" + empty})), 1,
                empty + "\" is not a regular file");
  ExpectOneLine(RunProcess(Command({"--calibration_shard=" + empty})), 1,
                empty);
}

// A key that is missing from a configuration map leaves a folder or nothing; a
// wrong value is often another file's text.
TEST_F(VolumesTest, AWrongConfigurationMapStopsTheServer) {
  const std::string model = "model: \"" + model_.model + "\"\n";
  const struct {
    std::string path, message;
  } kCases[] = {
      {Folder("config"), "not a regular file"},
      {"/no/such.textproto", "No such file or directory"},
      {WriteBytes("1", ""), "no model: give --model"},
      {WriteBytes("2", std::string("\x7f\x45\x4c\x46\0\1", 6)), "line 1"},
      {WriteBytes("3", model + "{\"port\": 8001}\n"), "line 2"},
      {WriteBytes("4", model + "sample_shape: [3, 32, 32]\nprt: 8001\n"),
       "no field named \"prt\""},
      {WriteBytes("5", model + "sample_shape: [3, 32, 32]\nport: 80010\n"),
       "port is 80010, want 0 to 65535"},
      {WriteBytes("6", model + "calibration_shard: \"/no/such.bin\"\n"),
       "/no/such.bin"},
      {WriteBytes("7", std::string(2 << 20, '#')), "is larger than"},
  };
  for (const auto& c : kCases) {
    const Finished run =
        RunProcess({absl::StrCat(QUANTSERVE_BIN_DIR, "/quantserve_server"),
                    "--config=" + c.path, "--metrics_port=0"});
    ExpectOneLine(run, absl::StrContains(c.message, "such.bin") ? 1 : 2,
                  c.message);
  }
}

// The server serves; the next start calibrates again.
TEST_F(VolumesTest, ArtifactsThatCannotBeWrittenCostANoteOnly) {
  const std::string dir = Folder("artifacts");
  const std::string ports = TempPath("ports");
  const Words* const full = FullVolume(dir);
  const Words* const unprivileged = Unprivileged();
  if (full == nullptr || unprivileged == nullptr) {
    GTEST_SKIP() << "this system gives no namespaces to its users";
  }
  const struct {
    const Words* prefix;
    mode_t mode;
    const char* reason;
  } kCases[] = {{unprivileged, 0500, "Permission denied"},
                {full, 0700, "No space left on device"}};
  for (const auto& c : kCases) {
    fs::remove(ports);
    chmod(dir.c_str(), c.mode);
    Process server(*c.prefix +
                   Command({"--artifact_dir=" + dir + "/artifacts",
                            "--cache_dir=" + dir + "/cache",
                            "--port_file=" + ports, "--admin_port=0"}));
    const absl::Time deadline = absl::Now() + absl::Minutes(3);
    while (!fs::exists(ports) && server.running() && absl::Now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    int port = 0;
    ASSERT_EQ(std::sscanf(ReadBytes(ports).c_str(), "{\"grpc\":%d", &port), 1)
        << server.err();
    Client client(absl::StrCat("127.0.0.1:", port));
    const absl::Status ready = client.AwaitReady(absl::Minutes(3));
    ASSERT_TRUE(ready.ok()) << ready << server.err();
    EXPECT_THAT(server.err(), HasSubstr("the artifact could not be kept: "));
    EXPECT_THAT(server.err(), HasSubstr(c.reason));
    const auto result = client.Quantize({}, nullptr);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->generation(), 2);
  }
  chmod(dir.c_str(), 0700);
}

TEST_F(VolumesTest, AModelThatMemoryCannotHoldIsRefusedBeforeItIsRead) {
  const std::string huge = WriteBytes("huge.pt", "PK\x03\x04");
  std::error_code error;
  fs::resize_file(huge, int64_t{1} << 40, error);  // holes take no room
  if (error) GTEST_SKIP() << "no file of a terabyte fits here";
  const Finished run = RunProcess(Command({"--model=" + huge}));
  EXPECT_EQ(run.code, 1);
  ExpectOneLine(run, 1, "huge.pt\" has 1099511627776 bytes");
}

// Address space stands for a container's limit; the stacks of so many workers
// are more than it.
TEST_F(VolumesTest, TooLittleMemoryIsOneLineAndNoServer) {
  const Words limit = {"prlimit", "--as=6442450944", "--"};
  ExpectOneLine(RunProcess(limit + Command({"--workers=1024"})), 1,
                "too little memory");
}

// Killed in the middle, as for want of memory: the next start finds nothing
// that it would take for a whole.
TEST_F(VolumesTest, AKilledQuantizationLeavesNothingHalfMade) {
  const std::string dir = Folder("kept");
  const Words flags = {"--artifact_dir=" + dir, "--samples=100000"};
  {
    testing::ServerProcess server(model_, flags);
    const absl::Time deadline = absl::Now() + absl::Minutes(3);
    while (!absl::StrContains(server.process().err(), ": ranges ") &&
           absl::Now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    server.process().Signal(SIGKILL);
    EXPECT_EQ(server.process().Wait(absl::Seconds(30)), 128 + SIGKILL);
  }
  testing::ServerProcess again(model_, flags);
  again.AwaitReady();
  const auto status = again.NewClient()->GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->models(0).variants(1).generation(), 1);
  EXPECT_THAT(again.process().err(), HasSubstr("calibrated: "));
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    EXPECT_FALSE(absl::StrContains(entry.path().string(), ".partial-"));
  }
}

}  // namespace
}  // namespace quantserve
