// Files that NumPy and PyTorch wrote, not a writer of ours.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "gtest/gtest.h"
#include "quant/data/shard.h"
#include "tests/quant/data/writers.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> Written() {
  const fs::path directory = fs::path(TempPath("x")).parent_path() / "foreign";
  fs::create_directories(directory);
  const std::string command =
      std::string(QUANTSERVE_PYTHON) + " '" + QUANTSERVE_SOURCE_DIR +
      "/tests/quant/data/write_shards.py' '" + directory.string() + "'";
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void ExpectGood(const fs::path& file) {
  const auto shard = ReadShard(file.string(), {});
  ASSERT_TRUE(shard.ok()) << shard.status();
  EXPECT_EQ(shard->size(), 5);
  EXPECT_EQ(shard->sample_shape(), (Shape{2, 3, 4}));
  const bool several =
      file.filename().string().find("inputs") != std::string::npos;
  EXPECT_EQ(shard->num_inputs(), several ? 2u : 1u) << file;
  if (several) {
    EXPECT_EQ(shard->dtype(1), DType::kI64) << file;
    EXPECT_EQ(shard->samples(1).data<int64_t>()[0], 4) << file;
  }
  Preprocessing plain;
  plain.scale = 1;
  std::vector<float> values(120), want(120);
  shard->Copy(0, 5, plain, absl::MakeSpan(values));
  for (int i = 0; i < 120; ++i) want[i] = static_cast<float>(i);
  EXPECT_EQ(values, want) << file;
  if (file.filename().string().find("labelled") != std::string::npos) {
    EXPECT_EQ(
        std::vector<int64_t>(shard->labels().begin(), shard->labels().end()),
        (std::vector<int64_t>{4, 3, 2, 1, 0}))
        << file;
  } else {
    EXPECT_FALSE(shard->has_labels());
  }
}

void ExpectBad(const fs::path& file) {
  const auto shard = ReadShard(file.string(), {});
  EXPECT_EQ(shard.status().code(), absl::StatusCode::kInvalidArgument) << file;
  const std::string message(shard.status().message());
  EXPECT_NE(message.find(file.string()), std::string::npos) << message;
  EXPECT_NE(message.find("expected"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

TEST(ForeignWritersTest, GoodFilesAreReadAndBadOnesRefused) {
  int good = 0, bad = 0;
  for (const fs::path& file : Written()) {
    if (file.filename().string().rfind("good_", 0) == 0) {
      ExpectGood(file);
      ++good;
    } else {
      ExpectBad(file);
      ++bad;
    }
  }
  EXPECT_EQ(good, 20);
  EXPECT_EQ(bad, 15);
}

}  // namespace
}  // namespace quantserve
