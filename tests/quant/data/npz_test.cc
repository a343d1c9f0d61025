#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quant/data/zip_archive.h"
#include "tests/quant/data/writers.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kNoLimit = int64_t{1} << 32;

std::string Samples() {
  return NpyFile(NpyHeader("<f4", "(2, 3)"), Raw<float>({1, 2, 3, 4, 5, 6}));
}
std::string Labels() {
  return NpyFile(NpyHeader("<i8", "(2,)"), Raw<int64_t>({7, 8}));
}

std::string Message(const std::string& bytes, int64_t limit = kNoLimit) {
  const auto shard = ReadNpzBytes(bytes, limit);
  EXPECT_EQ(shard.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(shard.status().message());
}

// Replaces every four-byte little-endian `from` by `to`.
std::string Patched(std::string bytes, uint32_t from, uint32_t to) {
  const std::string find = Raw<uint32_t>({from});
  const std::string put = Raw<uint32_t>({to});
  for (size_t at = bytes.find(find); at != std::string::npos;
       at = bytes.find(find, at + 4)) {
    bytes.replace(at, 4, put);
  }
  return bytes;
}

TEST(NpzTest, FindsSamplesAndLabelsUnderTheirUsualNames) {
  const struct {
    const char* samples;
    const char* labels;
  } kCases[] = {{"x", "y"},
                {"images", "labels"},
                {"inputs", "targets"},
                {"data", "y"},
                {"x_test", "y_test"}};
  for (const auto& c : kCases) {
    for (const bool deflate : {false, true}) {
      const auto shard =
          ReadNpzBytes(ZipFile({{std::string(c.labels) + ".npy", Labels()},
                                {std::string(c.samples) + ".npy", Samples()},
                                {"other.npy", "not even an array"}},
                               deflate),
                       kNoLimit);
      ASSERT_TRUE(shard.ok()) << shard.status();
      EXPECT_EQ(shard->inputs[0].samples.shape(), (Shape{2, 3})) << c.samples;
      EXPECT_EQ(shard->labels, (std::vector<int64_t>{7, 8})) << c.labels;
    }
  }
}

std::string Ids() {
  return NpyFile(NpyHeader("<i4", "(2, 2)"), Raw<int32_t>({1, 2, 3, 4}));
}

TEST(NpzTest, ReadsSeveralInputs) {
  for (const bool deflate : {false, true}) {
    const auto shard = ReadNpzBytes(ZipFile({{"input_1.npy", Ids()},
                                             {"input_0.npy", Samples()},
                                             {"input_ids.npy", "not read"},
                                             {"labels.npy", Labels()}},
                                            deflate),
                                    kNoLimit);
    ASSERT_TRUE(shard.ok()) << shard.status();
    ASSERT_EQ(shard->inputs.size(), 2u);
    EXPECT_EQ(shard->inputs[0].samples.dtype(), DType::kF32);
    EXPECT_EQ(shard->inputs[1].name, "input_1");
    EXPECT_EQ(shard->inputs[1].samples.dtype(), DType::kI64);
    EXPECT_EQ(shard->inputs[1].samples.shape(), (Shape{2, 2}));
    EXPECT_EQ(shard->inputs[1].samples.data<int64_t>()[3], 4);
    EXPECT_EQ(shard->labels, (std::vector<int64_t>{7, 8}));
  }
}

TEST(NpzTest, SeveralInputsMustBeCompleteAndOfOneLength) {
  EXPECT_EQ(Message(ZipFile({{"input_0.npy", Ids()}, {"input_2.npy", Ids()}})),
            "has input_2 but no input_1, expected every input from input_0 on");
  EXPECT_EQ(Message(ZipFile({{"input_1.npy", Ids()}, {"x.npy", Ids()}})),
            "has input_1 but no input_0, expected every input from input_0 on");
  const std::string three =
      NpyFile(NpyHeader("|u1", "(3,)"), Raw<uint8_t>({1, 2, 3}));
  EXPECT_EQ(Message(ZipFile({{"input_0.npy", Ids()}, {"input_1.npy", three}})),
            "entry \"input_1\" has 3 samples, expected 2 as input_0 has");
}

TEST(NpzTest, LabelsMayBeMissing) {
  const auto shard = ReadNpzBytes(ZipFile({{"x.npy", Samples()}}), kNoLimit);
  ASSERT_TRUE(shard.ok()) << shard.status();
  EXPECT_TRUE(shard->labels.empty());
}

// x_test comes first, y_train does too: they don't belong together.
TEST(NpzTest, SamplesAndLabelsComeFromTheSamePart) {
  const std::string train_labels =
      NpyFile(NpyHeader("<i8", "(2,)"), Raw<int64_t>({0, 0}));
  const auto shard = ReadNpzBytes(ZipFile({{"y_train.npy", train_labels},
                                           {"x_test.npy", Samples()},
                                           {"x_train.npy", Samples()},
                                           {"y_test.npy", Labels()}}),
                                  kNoLimit);
  ASSERT_TRUE(shard.ok()) << shard.status();
  EXPECT_EQ(shard->labels, (std::vector<int64_t>{7, 8}));
}

TEST(NpzTest, RefusesForeignAndIncompleteArchives) {
  EXPECT_THAT(Message(""), HasSubstr("is not a whole ZIP archive"));
  EXPECT_THAT(Message("PK\x03\x04 or so"),
              HasSubstr("is not a whole ZIP archive"));
  EXPECT_THAT(Message(ZipFile({{"foo.npy", Samples()}, {"x.txt", "x"}})),
              HasSubstr("has the arrays \"foo\", expected samples under x, "
                        "images, inputs, data or x_*"));
  EXPECT_THAT(Message(ZipFile({{"x.npy", "rubbish"}})),
              HasSubstr("entry \"x\" is not a whole .npy array"));
  EXPECT_THAT(Message(ZipFile({{"x.npy", Samples()}, {"y.npy", Samples()}})),
              HasSubstr("entry \"y\" has labels of shape [2,3]"));
  EXPECT_THAT(
      Message(ZipFile(
          {{"x.npy", Samples()},
           {"y.npy", NpyFile(NpyHeader("<f4", "(2,)"), Raw<float>({1, 2}))}})),
      HasSubstr("entry \"y\" has labels of type f4, expected integers"));
  EXPECT_THAT(
      Message(ZipFile({{"x.npy", Samples()},
                       {"y.npy", NpyFile(NpyHeader("<i8", "(0,)"), "")}})),
      HasSubstr("entry \"y\" has no labels"));
}

TEST(NpzTest, RefusesMoreThanTheLimitOnceUnpacked) {
  const std::string zeros(4 << 20, '\0');
  const std::string bytes =
      ZipFile({{"x.npy", NpyFile(NpyHeader("|u1", "(4194304,)"), zeros)}},
              /*deflate=*/true);
  ASSERT_LT(bytes.size(), 1u << 16);
  EXPECT_TRUE(ReadNpzBytes(bytes, 5 << 20).ok());
  EXPECT_THAT(Message(bytes, 1 << 20),
              HasSubstr("unpacks to more than the allowed 1048576 bytes"));
}

// Sizes in the directory that the packed bytes can't hold must be refused
// before memory is taken for them.
TEST(NpzTest, RefusesSizesThatAreLies) {
  const std::string content(1234567, 'x');
  const std::string bytes = ZipFile({{"x.npy", content}}, /*deflate=*/true);
  for (uint32_t claim : {0xfffffff0u, 3000000u, 1234568u, 1234566u, 0u}) {
    const std::string patched = Patched(bytes, 1234567, claim);
    ASSERT_NE(patched, bytes);
    EXPECT_FALSE(ReadNpzBytes(patched, kNoLimit).ok()) << claim;
  }
  EXPECT_THAT(Message(Patched(bytes, 1234567, 0xfffffff0u)),
              HasSubstr("claims to unpack"));
}

TEST(ZipArchiveTest, VerifiesChecksums) {
  const std::string content = "some content that is long enough";
  std::string bytes = ZipFile({{"a", content}});
  const size_t at = bytes.find(content);
  ASSERT_NE(at, std::string::npos);
  bytes[at] ^= 1;
  auto archive = ZipArchive::OpenFile(WriteTemp("z", bytes), kNoLimit);
  ASSERT_TRUE(archive.ok()) << archive.status();
  EXPECT_THAT(std::string(archive->Read("a").status().message()),
              HasSubstr("CRC"));
}

TEST(ZipArchiveTest, RefusesOddNames) {
  for (const std::string& name :
       {std::string("line\nbreak"), std::string(600, 'n')}) {
    EXPECT_FALSE(
        ZipArchive::OpenFile(WriteTemp("z", ZipFile({{name, "x"}})), kNoLimit)
            .ok());
  }
}

TEST(ZipArchiveTest, RefusesTooManyEntries) {
  ZipEntries entries;
  for (int i = 0; i < 5000; ++i) entries.emplace_back(std::to_string(i), "");
  const std::string bytes = ZipFile(entries);
  EXPECT_THAT(std::string(ZipArchive::OpenFile(WriteTemp("z", bytes), kNoLimit)
                              .status()
                              .message()),
              HasSubstr("5000 entries, expected 1 to 4096"));
}

TEST(ZipArchiveTest, AMissingEntryIsAnError) {
  const std::string bytes = ZipFile({{"a", "x"}});
  auto archive = ZipArchive::OpenFile(WriteTemp("z", bytes), kNoLimit);
  ASSERT_TRUE(archive.ok());
  EXPECT_TRUE(archive->Has("a"));
  EXPECT_FALSE(archive->Has("b"));
  EXPECT_EQ(archive->Read("b").status().message(), "has no entry \"b\"");
}

TEST(NpzTest, SurvivesTruncationAndMutation) {
  const std::string whole =
      ZipFile({{"x.npy", Samples()}, {"y.npy", Labels()}}, /*deflate=*/true);
  for (size_t n = 0; n < whole.size(); ++n) {
    EXPECT_FALSE(ReadNpzBytes(whole.substr(0, n), kNoLimit).ok()) << n;
  }
  std::mt19937 random(12);
  for (int i = 0; i < 5000; ++i) {
    std::string bytes = whole;
    for (unsigned k = random() % 4 + 1; k > 0; --k) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    (void)ReadNpzBytes(bytes, 1 << 20);
  }
}

}  // namespace
}  // namespace quantserve
