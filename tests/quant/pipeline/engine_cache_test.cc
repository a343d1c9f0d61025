// What a restart finds of the measurements that the start before it made.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "quant/pipeline/pipeline.h"
#include "quant/torch/torch.h"
#include "tests/testing/plan_builder.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;

std::string Read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Changes whenever the entry is stored: that is a rename of a new file.
ino_t Identity(const fs::path& path) {
  struct stat status {};
  EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
  return status.st_ino;
}

class EngineCacheTest : public ::testing::Test {
 protected:
  EngineCacheTest()
      : root_(fs::path(::testing::TempDir()) /
              absl::StrCat("engine_cache.", getpid())) {
    fs::create_directories(root_);
    testing::PlanBuilder b(1);
    ValueId x = b.Conv(b.Input({1, 3, 8, 8}), {16, 3, 1, 1});
    x = b.Flatten(b.GlobalAvgPool(b.BasicBlock(x, 16, 1)));
    const absl::Status saved =
        SaveTorchScript(b.Build({b.Linear(x, 4)}), Model(), {});
    EXPECT_TRUE(saved.ok()) << saved;
  }
  ~EngineCacheTest() override {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

  std::string Model() const { return (root_ / "model.pt").string(); }
  fs::path Cache() const { return root_ / "cache"; }

  // A start of the program, as far as FP32 is concerned.
  absl::Status Start() const {
    ModelOptions options;
    options.path = Model();
    options.inputs = {{{3, 8, 8}}};
    options.engine.ladder = {1, 2};
    options.engine_choice = EngineChoice::kOneDnn;
    options.cache_dir = Cache().string();
    const auto pipeline = OpenModel(options);
    if (!pipeline.ok()) return pipeline.status();
    return (*pipeline)->CompileFloat({}).status();
  }

  std::vector<fs::path> Entries() const {
    std::vector<fs::path> entries;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(Cache(), none)) {
      entries.push_back(entry.path());
    }
    return entries;
  }

 private:
  const fs::path root_;
};

TEST_F(EngineCacheTest, ARestartFindsEveryChoice) {
  ASSERT_TRUE(Start().ok()) << Start();
  ASSERT_EQ(Entries().size(), 1u);
  const fs::path entry = Entries()[0];
  const std::string choices = Read(entry);
  EXPECT_NE(choices.find("conv"), std::string::npos) << choices;
  const ino_t before = Identity(entry);
  ASSERT_TRUE(Start().ok()) << Start();
  // Measuring anything again would have changed the entry, and stored it.
  EXPECT_EQ(Identity(entry), before);
  EXPECT_EQ(Read(entry), choices);
}

TEST_F(EngineCacheTest, ADamagedEntryCostsMeasurementsOnly) {
  ASSERT_TRUE(Start().ok()) << Start();
  ASSERT_EQ(Entries().size(), 1u);
  const fs::path entry = Entries()[0];
  const std::string whole = Read(entry);
  for (const std::string& damaged :
       {std::string(), whole.substr(0, whole.size() / 2),
        std::string("{\"choices\": 3}"), std::string(1000, '[')}) {
    std::ofstream(entry, std::ios::binary | std::ios::trunc) << damaged;
    ASSERT_TRUE(Start().ok()) << damaged.substr(0, 80);
    EXPECT_NE(Read(entry), damaged);
    EXPECT_EQ(Entries().size(), 1u);  // no part of a file is left behind
  }
}

TEST_F(EngineCacheTest, ADirectoryThatCannotBeMadeCostsNothingElse) {
  std::ofstream(Cache()) << "a file is in its place";
  EXPECT_TRUE(Start().ok()) << Start();
}

}  // namespace
}  // namespace quantserve
