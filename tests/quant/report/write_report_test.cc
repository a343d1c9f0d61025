#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "quant/report/report.h"
#include "tests/quant/report/sample_document.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;

class WriteReportTest : public ::testing::Test {
 protected:
  WriteReportTest()
      : folder_(fs::path(::testing::TempDir()) /
                ("write_report_" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
  }
  ~WriteReportTest() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ / name; }

  static std::string Read(const std::string& path) {
    std::ostringstream bytes;
    bytes << std::ifstream(path, std::ios::binary).rdbuf();
    return bytes.str();
  }

  size_t Files() const {
    return std::distance(fs::directory_iterator(folder_),
                         fs::directory_iterator());
  }

  const fs::path folder_;
};

TEST_F(WriteReportTest, TheEndingChooses) {
  ASSERT_TRUE(WriteReport(EmptyDocument(), Path("a.html")).ok());
  ASSERT_TRUE(WriteReport(EmptyDocument(), Path("a.json")).ok());
  EXPECT_EQ(Read(Path("a.html")), ReportHtml(EmptyDocument()));
  EXPECT_EQ(Read(Path("a.json")), ReportJson(EmptyDocument()));
  EXPECT_EQ(Files(), 2u);
}

TEST_F(WriteReportTest, AnotherEndingIsRefused) {
  for (const char* name : {"a.txt", "a", "html", "a.html.gz", ""}) {
    const absl::Status status = WriteReport(EmptyDocument(), Path(name));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_TRUE(absl::StrContains(status.message(), Path(name))) << status;
    EXPECT_EQ(CheckReportPath(Path(name)), status);
  }
  EXPECT_EQ(Files(), 0u);
}

TEST_F(WriteReportTest, AnOlderReportIsReplaced) {
  std::ofstream(Path("a.json")) << std::string(1'000'000, 'x');
  ASSERT_TRUE(WriteReport(EmptyDocument(), Path("a.json")).ok());
  EXPECT_EQ(Read(Path("a.json")), ReportJson(EmptyDocument()));
}

TEST_F(WriteReportTest, AMissingFolderIsNamed) {
  const absl::Status status =
      WriteReport(EmptyDocument(), Path("missing/a.html"));
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(status.message(), Path("missing/a.html")))
      << status;
}

TEST_F(WriteReportTest, AFolderThatRefusesIsNamed) {
  // /proc refuses root, too.
  const absl::Status status = WriteReport(EmptyDocument(), "/proc/a.html");
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(absl::StrContains(status.message(), "/proc/a.html")) << status;
}

TEST_F(WriteReportTest, AFolderInTheWayStays) {
  fs::create_directories(Path("a.html/kept"));
  EXPECT_FALSE(WriteReport(EmptyDocument(), Path("a.html")).ok());
  EXPECT_TRUE(fs::exists(Path("a.html/kept")));
  EXPECT_EQ(Files(), 1u);
}

// A file-size limit stands in for a full disk: the writes end early.
TEST_F(WriteReportTest, AFullDiskLeavesTheOldReportAndNothingElse) {
  std::ofstream(Path("a.html")) << "old";
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = WriteReport(SampleDocument(), Path("a.html"));
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(absl::StrContains(status.message(), Path("a.html"))) << status;
  EXPECT_EQ(Read(Path("a.html")), "old");
  EXPECT_EQ(Files(), 1u);
}

}  // namespace
}  // namespace quantserve
