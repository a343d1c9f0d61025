// Image folders, pixel by pixel against torchvision's transforms on PIL images.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quant/data/shard.h"
#include "tests/quant/data/writers.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;
using ::testing::Each;
using ::testing::Ge;

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

// Of each of `want`'s samples the one of `got` that has its label and, within
// `tolerance`, its pixels, none of them twice; -1 where there is none. Folders
// are shuffled, torchvision's are not.
std::vector<int64_t> Matches(const Shard& got, const Shard& want,
                             int tolerance) {
  std::vector<int64_t> matches(want.size(), -1);
  std::vector<bool> taken(got.size(), false);
  EXPECT_EQ(got.sample_shape(), want.sample_shape());
  if (got.sample_shape() != want.sample_shape()) return matches;
  const int64_t elements = want.sample_elements();
  for (int64_t i = 0; i < want.size(); ++i) {
    for (int64_t j = 0; j < got.size() && matches[i] < 0; ++j) {
      const uint8_t* a = want.samples().data<uint8_t>() + i * elements;
      const uint8_t* b = got.samples().data<uint8_t>() + j * elements;
      const bool equal =
          want.labels()[i] == got.labels()[j] &&
          std::equal(a, a + elements, b, [tolerance](uint8_t x, uint8_t y) {
            return std::abs(int{x} - int{y}) <= tolerance;
          });
      if (!equal || taken[j]) continue;
      taken[j] = true;
      matches[i] = j;
    }
  }
  return matches;
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
    EXPECT_EQ(want->size(), 6);
    EXPECT_THAT(Matches(*got, *want, 1), Each(Ge(0)));
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
    EXPECT_THAT(Matches(*all, *some, 0), Each(Ge(0)));
  }
}

}  // namespace
}  // namespace quantserve
