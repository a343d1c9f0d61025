#include "quant/base/atomic_file.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class AtomicFileTest : public ::testing::Test {
 protected:
  AtomicFileTest()
      : folder_(fs::path(::testing::TempDir()) /
                absl::StrCat("atomic_file.", getpid())) {
    fs::create_directories(folder_);
  }
  ~AtomicFileTest() override { fs::remove_all(folder_); }

  std::string In(const std::string& name) const {
    return (folder_ / name).string();
  }
  static std::string Read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  int64_t Files() const {
    return std::distance(fs::directory_iterator(folder_),
                         fs::directory_iterator());
  }
  // A writer that is killed after it has written a part.
  void Die(const std::string& path) const {
    const pid_t child = fork();
    if (child == 0) {
      WriteFileAtomically(path, [](const std::string& temporary) {
        std::ofstream(temporary) << "half";
        raise(SIGKILL);
        return absl::OkStatus();
      }).IgnoreError();
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
  }

 private:
  const fs::path folder_;
};

TEST_F(AtomicFileTest, ReplacesWhatIsThere) {
  for (const std::string& bytes :
       {std::string("one"), std::string(1 << 20, 'x'), std::string()}) {
    ASSERT_TRUE(WriteFileAtomically(In("file"), bytes).ok());
    EXPECT_EQ(Read(In("file")), bytes);
    EXPECT_EQ(Files(), 1);
  }
}

TEST_F(AtomicFileTest, FollowsTheUmask) {
  ASSERT_TRUE(WriteFileAtomically(In("file"), "x").ok());
  const mode_t mask = umask(0);
  umask(mask);
  struct stat status {};
  ASSERT_EQ(stat(In("file").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0666 & ~mask);
}

TEST_F(AtomicFileTest, AFailedWriteLeavesTheOldFile) {
  ASSERT_TRUE(WriteFileAtomically(In("file"), "old").ok());
  const absl::Status failed =
      WriteFileAtomically(In("file"), [](const std::string& temporary) {
        std::ofstream(temporary) << "half";
        return absl::InternalError("disk full");
      });
  EXPECT_EQ(failed, absl::InternalError("disk full"));
  EXPECT_EQ(Read(In("file")), "old");
  EXPECT_EQ(Files(), 1);
}

TEST_F(AtomicFileTest, NamesTheFileAndTheReason) {
  const absl::Status none = WriteFileAtomically(In("none/file"), "x");
  EXPECT_EQ(none.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(none.message()),
              HasSubstr(In("none/file") + ": No such file or directory"));
  fs::create_directory(In("folder"));
  const absl::Status folder = WriteFileAtomically(In("folder"), "x");
  EXPECT_EQ(folder.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(folder.message()),
              HasSubstr(In("folder") + ": it is a folder"));
  EXPECT_EQ(Files(), 1);
}

// As root, --output=/dev/null would otherwise take the device away.
TEST_F(AtomicFileTest, DevicesAreNotReplaced) {
  ASSERT_EQ(mkfifo(In("pipe").c_str(), 0600), 0);
  fs::create_symlink(In("pipe"), In("link"));
  for (const char* name : {"pipe", "link"}) {
    const absl::Status written = WriteFileAtomically(In(name), "x");
    EXPECT_EQ(written.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(written.message()),
                HasSubstr(In(name) + ": it is no regular file"));
  }
  EXPECT_TRUE(fs::is_fifo(In("pipe")));
  EXPECT_TRUE(fs::is_symlink(In("link")));
  EXPECT_EQ(Files(), 2);
}

TEST_F(AtomicFileTest, AKilledWriterLeavesTheOldFileAndIsCleanedUpAfter) {
  ASSERT_TRUE(WriteFileAtomically(In("file"), "old").ok());
  Die(In("file"));
  EXPECT_EQ(Read(In("file")), "old");
  EXPECT_EQ(Files(), 2);
  ASSERT_TRUE(WriteFileAtomically(In("file"), "new").ok());
  EXPECT_EQ(Read(In("file")), "new");
  EXPECT_EQ(Files(), 1);
}

TEST_F(AtomicFileTest, LeftoversGoAndEverythingElseStays) {
  Die(In("a"));
  Die(In("b"));
  for (const char* name :
       {"a", "a.partial", "a.partial-", "a.partial-12",
        "a.partial-0123456789abcdeg", "a.partial-0123456789abcdef.txt"}) {
    std::ofstream(In(name)) << "mine";
  }
  EXPECT_EQ(Files(), 8);
  RemoveLeftovers(In(""), "a");
  EXPECT_EQ(Files(), 7);
  RemoveLeftovers(In(""), "");
  EXPECT_EQ(Files(), 6);
  RemoveLeftovers(In("none"), "");
}

TEST_F(AtomicFileTest, ALivingWriterIsNoLeftover) {
  const absl::Status written =
      WriteFileAtomically(In("file"), [this](const std::string& temporary) {
        std::ofstream(temporary) << "whole";
        RemoveLeftovers(In(""), "");
        return absl::OkStatus();
      });
  EXPECT_TRUE(written.ok()) << written;
  EXPECT_EQ(Read(In("file")), "whole");
}

// Each writer writes a file of one letter; a mixture would be a part.
TEST_F(AtomicFileTest, ManyWritersOfOneFileNeverMix) {
  constexpr int kWriters = 4, kFiles = 50;
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([this, w] {
      for (int i = 0; i < kFiles; ++i) {
        const absl::Status written = WriteFileAtomically(
            In("file"), std::string(10000, static_cast<char>('a' + w)));
        EXPECT_TRUE(written.ok()) << written;
        const std::string bytes = Read(In("file"));
        EXPECT_EQ(bytes, std::string(10000, bytes[0]));
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(Files(), 1);
}

}  // namespace
}  // namespace quantserve
