#include "quant/demo/demo_files.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quant/data/shard.h"
#include "quant/demo/images.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class DemoFilesTest : public testing::Test {
 protected:
  DemoFilesTest()
      : directory_(fs::path(testing::TempDir()) /
                   ("demo_files_test_" + std::to_string(getpid()))) {
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  ~DemoFilesTest() override { fs::remove_all(directory_); }

  std::string directory() const { return directory_.string(); }
  std::string In(const std::string& file) const {
    return (directory_ / file).string();
  }
  std::string Read(const std::string& file) const {
    std::ifstream in(directory_ / file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in),
            std::istreambuf_iterator<char>()};
  }
  void Write(const std::string& file, const std::string& bytes) const {
    std::ofstream(directory_ / file, std::ios::binary) << bytes;
  }
  int64_t Files() const {
    return std::distance(fs::directory_iterator(directory_),
                         fs::directory_iterator());
  }

 private:
  const fs::path directory_;
};

TEST_F(DemoFilesTest, ShardsAreReadByTheOrdinaryReader) {
  ASSERT_TRUE(WriteDemoShards(directory(), 3).ok());
  ReadShardOptions options;
  options.sample_shape = {3, 32, 32};
  options.num_classes = kDemoClasses;
  const auto calibration = ReadShard(In(kDemoCalibrationFile), options);
  ASSERT_TRUE(calibration.ok()) << calibration.status();
  EXPECT_EQ(calibration->size(), kDemoCalibrationImages);
  const auto test = ReadShard(In(kDemoTestFile), options);
  ASSERT_TRUE(test.ok()) << test.status();
  EXPECT_EQ(test->size(), kDemoTestImages);
  std::array<uint8_t, kDemoImageBytes> image;
  EXPECT_EQ(DrawDemoImage(3, DemoSplit::kTest, 1234, absl::MakeSpan(image)),
            test->labels()[1234]);
  EXPECT_TRUE(
      std::equal(image.begin(), image.end(),
                 test->samples().data<uint8_t>() + 1234 * kDemoImageBytes));
  EXPECT_EQ(Read(kDemoLabelsFile).substr(0, 13), "striped disc\n");
}

TEST_F(DemoFilesTest, SameSeedGivesTheSameBytes) {
  ASSERT_TRUE(WriteDemoShards(directory(), 3).ok());
  const std::string first = Read(kDemoCalibrationFile);
  ASSERT_TRUE(WriteDemoShards(directory(), 4).ok());
  EXPECT_NE(Read(kDemoCalibrationFile), first);
  ASSERT_TRUE(WriteDemoShards(directory(), 3).ok());
  EXPECT_EQ(Read(kDemoCalibrationFile), first);
}

TEST_F(DemoFilesTest, IsCompleteOnlyWithEveryFileAndTheSameOptions) {
  const DemoOptions options;
  EXPECT_FALSE(DemoIsComplete(directory(), options));
  ASSERT_TRUE(WriteDemoShards(directory(), options.seed).ok());
  Write(kDemoModelFile, "model");
  EXPECT_FALSE(DemoIsComplete(directory(), options));
  ASSERT_TRUE(WriteDemoManifest(directory(), options, 0.9).ok());
  EXPECT_TRUE(DemoIsComplete(directory(), options));

  DemoOptions other = options;
  other.seed = 2;
  EXPECT_FALSE(DemoIsComplete(directory(), other));
  other = options;
  other.epochs = 1;
  EXPECT_FALSE(DemoIsComplete(directory(), other));
  other = options;
  other.train_samples = 64;
  EXPECT_FALSE(DemoIsComplete(directory(), other));

  for (const char* file : {kDemoModelFile, kDemoTestFile, kDemoLabelsFile}) {
    const std::string bytes = Read(file);
    Write(file, bytes.substr(1));
    EXPECT_FALSE(DemoIsComplete(directory(), options)) << file;
    fs::remove(In(file));
    EXPECT_FALSE(DemoIsComplete(directory(), options)) << file;
    Write(file, bytes);
    EXPECT_TRUE(DemoIsComplete(directory(), options)) << file;
  }
}

TEST_F(DemoFilesTest, AManifestThatIsNoneCountsAsMissing) {
  for (const char* manifest :
       {"", "{", "[]", "{}", "null", "{\"options\": 5}",
        "{\"options\": {\"seed\": 1}, \"sha256\": []}",
        "{\"options\": {\"epochs\": 4, \"seed\": 1, \"train_samples\": 16000, "
        "\"version\": 1}, \"sha256\": 7}"}) {
    Write(kDemoManifestFile, manifest);
    EXPECT_FALSE(DemoIsComplete(directory(), DemoOptions())) << manifest;
  }
}

TEST_F(DemoFilesTest, AMissingDirectoryIsAnError) {
  const absl::Status status = WriteDemoShards(In("none"), 1);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("cannot write"));
}

TEST(DemoOptionsTest, RefusesSenselessNumbers) {
  EXPECT_TRUE(DemoOptions().Validate().ok());
  for (int epochs : {0, -1, 1001}) {
    DemoOptions options;
    options.epochs = epochs;
    EXPECT_FALSE(options.Validate().ok()) << epochs;
  }
  for (int64_t samples :
       {int64_t{0}, int64_t{-5}, int64_t{63}, int64_t{1} << 40}) {
    DemoOptions options;
    options.train_samples = samples;
    EXPECT_FALSE(options.Validate().ok()) << samples;
  }
}

}  // namespace
}  // namespace quantserve
