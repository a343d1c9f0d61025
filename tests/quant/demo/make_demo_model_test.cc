// The tool itself, as a user runs it.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quant/demo/demo_files.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

struct Outcome {
  int code = -1;
  std::string output;  // both streams
};

Outcome RunCommand(const std::string& command) {
  Outcome outcome;
  std::FILE* const pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return outcome;
  char buffer[4096];
  size_t n = 0;
  while ((n = std::fread(buffer, 1, sizeof(buffer), pipe)) > 0) {
    outcome.output.append(buffer, n);
  }
  const int status = pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

Outcome RunTool(const std::string& flags) {
  return RunCommand(std::string("'") + QUANTSERVE_BIN_DIR +
                    "/make_demo_model' " + flags);
}

class MakeDemoModelTest : public testing::Test {
 protected:
  MakeDemoModelTest()
      : directory_(fs::path(testing::TempDir()) /
                   ("make_demo_model_test_" + std::to_string(getpid()))) {
    fs::remove_all(directory_);
  }
  ~MakeDemoModelTest() override { fs::remove_all(directory_); }
  std::string Flags(const std::string& more) const {
    return "--output_dir='" + directory_.string() +
           "' --epochs=1 --train_samples=64 " + more;
  }
  const fs::path directory_;
};

TEST_F(MakeDemoModelTest, MakesEverythingOnceAndAgainWhenForced) {
  const Outcome first = RunTool(Flags(""));
  ASSERT_EQ(first.code, 0) << first.output;
  EXPECT_THAT(first.output, HasSubstr("on 2000 test images"));
  for (const char* file : {kDemoModelFile, kDemoCalibrationFile, kDemoTestFile,
                           kDemoLabelsFile, kDemoManifestFile}) {
    EXPECT_TRUE(fs::exists(directory_ / file)) << file;
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_),
                          fs::directory_iterator()),
            5);  // nothing temporary is left

  const auto time = fs::last_write_time(directory_ / kDemoModelFile);
  const Outcome second = RunTool(Flags(""));
  EXPECT_EQ(second.code, 0);
  EXPECT_THAT(second.output, HasSubstr("all files are there"));
  EXPECT_EQ(fs::last_write_time(directory_ / kDemoModelFile), time);

  EXPECT_THAT(RunTool(Flags("--force")).output, HasSubstr("trained on 64"));
  EXPECT_THAT(RunTool(Flags("--seed=2")).output, HasSubstr("trained on 64"));
  // A damaged file is made anew.
  std::ofstream(directory_ / kDemoTestFile) << "damaged";
  EXPECT_THAT(RunTool(Flags("--seed=2")).output, HasSubstr("trained on 64"));
}

// The model is an ordinary TorchScript file: PyTorch measures what the tool
// did.
TEST_F(MakeDemoModelTest, PyTorchReadsTheModelAndFindsTheSameAccuracy) {
  const Outcome made = RunTool(Flags(""));
  ASSERT_EQ(made.code, 0) << made.output;
  const Outcome measured = RunCommand(
      std::string("/usr/bin/python3 '") + QUANTSERVE_SOURCE_DIR +
      "/tests/quant/demo/measure_demo_model.py' '" + directory_.string() + "'");
  EXPECT_EQ(measured.code, 0) << measured.output;
  EXPECT_THAT(made.output, HasSubstr("accuracy " + measured.output));
}

TEST_F(MakeDemoModelTest, BadFlagsGiveOneLineAndExitCodeTwo) {
  const struct {
    std::string flags;
    const char* message;
  } kBad[] = {
      {"", "make_demo_model: --output_dir is missing"},
      {"--colour=red", "unknown flag --colour"},
      {Flags("--epochs=0"), "--epochs is 0, expected 1 to 1000"},
      {Flags("--epochs=two"), "flag --epochs has the value \"two\""},
      {Flags("--train_samples=5"), "--train_samples is 5, expected 64 to"},
      {Flags("--seed=-1"), "flag --seed has the value \"-1\""},
      {Flags("extra"), "unexpected argument \"extra\""},
  };
  for (const auto& c : kBad) {
    const Outcome outcome = RunTool(c.flags);
    EXPECT_EQ(outcome.code, 2) << c.flags;
    EXPECT_THAT(outcome.output, HasSubstr(c.message));
    EXPECT_EQ(outcome.output.find('\n'), outcome.output.size() - 1)
        << outcome.output;
  }
}

TEST_F(MakeDemoModelTest, ADirectoryThatCannotBeMadeIsAnError) {
  std::ofstream(directory_) << "a file";
  const Outcome outcome = RunTool(Flags(""));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.output, HasSubstr("make_demo_model: --output_dir"));
}

TEST_F(MakeDemoModelTest, HelpIsAUsagePage) {
  const Outcome outcome = RunTool("--help");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.output, HasSubstr("Usage: make_demo_model"));
}

}  // namespace
}  // namespace quantserve
