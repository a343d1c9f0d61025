// Image folders, pixel by pixel against torchvision's transforms on PIL images.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "quant/data/shard.h"
#include "tests/quant/data/writers.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;

class TorchvisionTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = TempPath("torchvision");
    fs::create_directories(directory_);
    const std::string command =
        std::string(QUANTSERVE_PYTHON) + " '" + QUANTSERVE_SOURCE_DIR +
        "/tests/quant/data/write_images.py' '" + directory_.string() + "'";
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }
  static fs::path directory_;
};
fs::path TorchvisionTest::directory_;

// "NAME_RESIZE_CROP_INTERPOLATION".
ReadShardOptions OptionsOf(const std::string& name) {
  const std::vector<std::string> parts = absl::StrSplit(name, '_');
  ReadShardOptions options;
  EXPECT_EQ(parts.size(), 4u) << name;
  EXPECT_TRUE(absl::SimpleAtoi(parts[1], &options.images.resize));
  EXPECT_TRUE(absl::SimpleAtoi(parts[2], &options.images.crop));
  if (parts[3] == "bicubic") {
    options.images.interpolation = Interpolation::kBicubic;
  }
  return options;
}

// Of all pixels; -1 if the shapes differ.
int LargestDifference(const Shard& got, const Shard& want) {
  EXPECT_EQ(got.samples().shape(), want.samples().shape());
  if (got.samples().shape() != want.samples().shape()) return -1;
  int largest = 0;
  for (int64_t i = 0; i < got.samples().elements(); ++i) {
    const int difference = int{got.samples().data<uint8_t>()[i]} -
                           int{want.samples().data<uint8_t>()[i]};
    largest = std::max(largest, std::abs(difference));
  }
  return largest;
}

TEST_F(TorchvisionTest, EveryPixelIsWithinOneGreyLevel) {
  int cases = 0;
  for (const auto& entry : fs::directory_iterator(directory_ / "cases")) {
    const std::string name = entry.path().filename().string();
    const auto got = ReadShard(entry.path().string(), OptionsOf(name));
    ASSERT_TRUE(got.ok()) << got.status();
    const auto want =
        ReadShard((directory_ / "expected" / (name + ".npy")).string(), {});
    ASSERT_TRUE(want.ok()) << want.status();
    const int difference = LargestDifference(*got, *want);
    // Decoding PNG is exact, and resizing is PIL's to the bit; JPEG depends on
    // the version of libjpeg that PIL was built with.
    const bool jpeg = !fs::exists(entry.path() / "image.png");
    EXPECT_LE(difference, jpeg ? 1 : 0) << name;
    EXPECT_GE(difference, 0) << name;
    ++cases;
  }
  EXPECT_EQ(cases, 102);
}

TEST_F(TorchvisionTest, FoldersAreLabelledAsImageFolderDoes) {
  ReadShardOptions options;
  options.images.resize = 48;
  options.images.crop = 40;
  // With and without a slash at the end.
  for (const std::string& path : {(directory_ / "folder").string(),
                                  (directory_ / "folder").string() + "/"}) {
    const auto got = ReadShard(path, options);
    ASSERT_TRUE(got.ok()) << got.status();
    const auto want = ReadShard((directory_ / "folder.npz").string(), {});
    ASSERT_TRUE(want.ok()) << want.status();
    EXPECT_EQ(got->name(), "folder");
    EXPECT_EQ(got->size(), 6);
    EXPECT_LE(LargestDifference(*got, *want), 1);
    EXPECT_EQ(got->labels(), want->labels());
  }
}

// The same samples as of a whole read, with their labels.
TEST_F(TorchvisionTest, DrawnImagesKeepTheirLabels) {
  const std::string folder = (directory_ / "folder").string();
  ReadShardOptions options;
  options.images.resize = 48;
  options.images.crop = 40;
  const auto all = ReadShard(folder, options);
  ASSERT_TRUE(all.ok()) << all.status();
  options.max_samples = 3;
  for (options.seed = 0; options.seed < 8; ++options.seed) {
    const auto some = ReadShard(folder, options);
    ASSERT_TRUE(some.ok()) << some.status();
    EXPECT_EQ(some->size(), 3);
    EXPECT_EQ(some->population(), 6);
    const int64_t elements = some->sample_elements();
    int64_t found = 0;  // in order
    for (int64_t i = 0; i < all->size() && found < 3; ++i) {
      if (std::equal(all->samples().data<uint8_t>() + i * elements,
                     all->samples().data<uint8_t>() + (i + 1) * elements,
                     some->samples().data<uint8_t>() + found * elements)) {
        EXPECT_EQ(all->labels()[i], some->labels()[found]);
        ++found;
      }
    }
    EXPECT_EQ(found, 3);
  }
}

}  // namespace
}  // namespace quantserve
