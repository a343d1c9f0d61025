// Image folders, good and bad; their pixels are compared with torchvision's in
// torchvision_test.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quant/data/shard.h"
#include "tests/quant/data/writers.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;
using Files = std::vector<std::pair<std::string, std::string>>;

// A fresh folder with these files; a name that ends in a slash is a folder, and
// bytes that begin with "-> " make a symbolic link.
std::string WriteFolder(const Files& files) {
  static int number = 0;
  const fs::path folder = TempPath("folder" + std::to_string(number++));
  fs::create_directories(folder);
  for (const auto& [name, bytes] : files) {
    fs::create_directories((folder / name).parent_path());
    if (bytes.rfind("-> ", 0) == 0) {
      fs::create_symlink(bytes.substr(3), folder / name);
    } else if (name.back() != '/') {
      std::ofstream(folder / name, std::ios::binary) << bytes;
    }
  }
  return folder.string();
}

TEST(ImageFolderTest, AFlatFolderHasNoLabels) {
  const auto shard = ReadShard(
      WriteFolder({{"b.png", PngFile(5, 4)}, {"a.jpg", JpegFile(5, 4)}}), {});
  ASSERT_TRUE(shard.ok()) << shard.status();
  EXPECT_EQ(shard->size(), 2);
  EXPECT_EQ(shard->dtype(), DType::kU8);
  EXPECT_EQ(shard->sample_shape(), (Shape{3, 4, 5}));
  EXPECT_FALSE(shard->has_labels());
}

TEST(ImageFolderTest, HiddenFilesAndOtherEndingsAreLeftOut) {
  const std::string png = PngFile(4, 4);
  const auto shard = ReadShard(WriteFolder({{"b/1.png", png},
                                            {"b/.hidden.png", "x"},
                                            {"b/notes.txt", "x"},
                                            {"b/png", "x"},
                                            {"a/1.PNG", png},
                                            {"a/2.JpEg", JpegFile(4, 4)},
                                            {".cache/1.png", "x"},
                                            {"README.md", "x"}}),
                               {});
  ASSERT_TRUE(shard.ok()) << shard.status();
  EXPECT_THAT(shard->labels(), UnorderedElementsAre(0, 0, 1));
}

// Calibration takes a shard's first samples: they must be of all classes.
TEST(ImageFolderTest, TheFirstSamplesAreOfAllClasses) {
  Files files;
  for (int i = 0; i < 40; ++i) {
    const std::string name = std::to_string(i) + ".png";
    files.push_back({"a/" + name, PngFile(1, 1)});
    files.push_back({"b/" + name, PngFile(2, 2)});
  }
  const std::string folder = WriteFolder(files);
  ReadShardOptions options;
  options.images.resize = options.images.crop = 2;
  const auto shard = ReadShard(folder, options);
  ASSERT_TRUE(shard.ok()) << shard.status();
  const auto labels = shard->labels();
  EXPECT_EQ(std::count(labels.begin(), labels.end(), 1), 40);
  const auto early = std::count(labels.begin(), labels.begin() + 40, 1);
  EXPECT_GT(early, 10);
  EXPECT_LT(early, 30);
  const auto again = ReadShard(folder, options);
  EXPECT_THAT(again->labels(), ElementsAreArray(labels));
  options.seed = 1;
  const auto other = ReadShard(folder, options);
  EXPECT_THAT(other->labels(), Not(ElementsAreArray(labels)));
}

TEST(ImageFolderTest, OneImageOneClassAndOneColourAreShards) {
  const std::string png = PngFile(1, 1);
  for (const Files& files :
       {Files{{"only.png", png}}, Files{{"class/only.png", png}},
        Files{{"class/1.png", png}, {"class/2.png", png}}}) {
    const auto shard = ReadShard(WriteFolder(files), {});
    EXPECT_TRUE(shard.ok()) << shard.status();
  }
}

TEST(ImageFolderTest, LinkedImagesAreRead) {
  const auto shard = ReadShard(
      WriteFolder({{"a/1.png", PngFile(4, 4)}, {"b/1.png", "-> ../a/1.png"}}),
      {});
  ASSERT_TRUE(shard.ok()) << shard.status();
  EXPECT_EQ(shard->size(), 2);
}

TEST(ImageFolderTest, ACropMakesSizesEqual) {
  const std::string folder = WriteFolder(
      {{"a.png", PngFile(9, 5)}, {"b.png", PngFile(5, 9)}, {"c.png", ""}});
  fs::remove(folder + "/c.png");
  EXPECT_EQ(ReadShard(folder, {}).status().message(),
            "shard \"" + folder +
                "\" holds b.png of 5 x 9 pixels, expected 9 x 5 as a.png has: "
                "a crop makes sizes equal");
  ReadShardOptions options;
  options.images.resize = 6;
  options.images.crop = 4;
  const auto shard = ReadShard(folder, options);
  ASSERT_TRUE(shard.ok()) << shard.status();
  EXPECT_EQ(shard->sample_shape(), (Shape{3, 4, 4}));
}

TEST(ImageFolderTest, SaysWhatIsWrong) {
  const std::string png = PngFile(4, 4);
  const struct {
    const char* name;
    Files files;
    const char* message;
  } kBad[] = {
      {"empty", {}, "holds no images, expected *.jpg, *.jpeg or *.png, or a"},
      {"nothing that counts",
       {{".x.png", png}, {"labels.csv", "x"}},
       "holds no images, expected"},
      {"an empty class",
       {{"cat/1.png", png}, {"dog/", ""}},
       "holds no image for class \"dog\", expected *.jpg, *.jpeg or *.png"},
      {"a class of other things",
       {{"cat/1.png", png}, {"dog/1.gif", "x"}},
       "holds no image for class \"dog\""},
      {"images beside classes",
       {{"cat/1.png", png}, {"1.png", png}},
       "holds the image 1.png beside the folder cat, expected only"},
      {"folders in classes",
       {{"train/cat/1.png", png}},
       "holds the folder train/cat, expected class/name.jpg|jpeg|png"},
      {"text called .jpg",
       {{"cat/1.jpg", "hello"}},
       "holds cat/1.jpg, which is not an image, expected the bytes of a JPEG"},
      {"an empty file",
       {{"cat/1.png", png}, {"cat/2.png", ""}},
       "holds cat/2.png, which is no image, expected one: \""},
      {"half an image",
       {{"cat/1.png", png}, {"cat/2.png", png.substr(0, 60)}},
       "holds cat/2.png, which is a damaged PNG image"},
      {"a folder called .png",
       {{"cat/1.png", png}, {"cat/2.png/", ""}},
       "holds the folder cat/2.png"},
      {"a link to itself",
       {{"cat/1.png", "-> 1.png"}},
       "1.png\" is a symbolic link that leads back to itself"},
      {"a link to nothing", {{"cat/1.png", "-> no.png"}}, "there is no file"},
      {"a folder that links to itself",
       {{"cat/1.png", png}, {"dog", "-> dog"}},
       "holds dog, which can't be looked at"},
      {"a loop of folders",
       {{"cat/1.png", png}, {"dog", "-> ."}},
       "holds the folder dog/cat, expected class/name"},
  };
  for (const auto& c : kBad) {
    const std::string folder = WriteFolder(c.files);
    const auto shard = ReadShard(folder, {});
    EXPECT_EQ(shard.status().code(), absl::StatusCode::kInvalidArgument)
        << c.name;
    const std::string message(shard.status().message());
    EXPECT_THAT(message, HasSubstr("shard \"" + folder + "\" holds")) << c.name;
    EXPECT_THAT(message, HasSubstr(c.message)) << c.name;
    EXPECT_THAT(message, HasSubstr("expected")) << c.name;
  }
}

// Opening a pipe would wait for somebody who writes to it.
TEST(ImageFolderTest, PipesAndUnreadableFilesAreNamed) {
  const std::string folder = WriteFolder({{"cat/1.png", PngFile(4, 4)}});
  ASSERT_EQ(mkfifo((folder + "/cat/0.png").c_str(), 0600), 0);
  EXPECT_THAT(std::string(ReadShard(folder, {}).status().message()),
              HasSubstr("holds cat/0.png, which is no image, expected one"));
  fs::remove(folder + "/cat/0.png");
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  fs::permissions(folder + "/cat/1.png", fs::perms::none);
  EXPECT_THAT(std::string(ReadShard(folder, {}).status().message()),
              HasSubstr("holds cat/1.png, which is no image, expected one"));
  fs::permissions(folder + "/cat", fs::perms::none);
  EXPECT_THAT(std::string(ReadShard(folder, {}).status().message()),
              HasSubstr("holds cat/, which can't be listed"));
}

TEST(ImageFolderTest, ReportsProgressAndCanBeCancelled) {
  const std::string png = PngFile(4, 4);
  const std::string folder =
      WriteFolder({{"a.png", png}, {"b.png", png}, {"c.png", png}});
  int64_t done = 0;
  ReadShardOptions options;
  options.control.on_progress = [&](const Progress& progress) {
    EXPECT_EQ(progress.phase, "read");
    EXPECT_EQ(progress.total, 3);
    EXPECT_EQ(progress.done, ++done);
  };
  ASSERT_TRUE(ReadShard(folder, options).ok());
  EXPECT_EQ(done, 3);
  done = 0;
  options.control.cancelled = [&] { return done == 2; };
  EXPECT_EQ(ReadShard(folder, options).status().code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace quantserve
