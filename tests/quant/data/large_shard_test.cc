// Shards larger than what may be kept of them.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <numeric>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quant/base/memory.h"
#include "quant/data/shard.h"
#include "tests/quant/data/writers.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;

// A .npy file of `rows` rows of `row_bytes` bytes, in which only the row's
// number takes room on the disk.
std::string SparseNpy(const std::string& name, int64_t rows, int64_t row_bytes,
                      bool numbers) {
  const std::string head =
      NpyFile(NpyHeader("|u1", "(" + std::to_string(rows) + ", " +
                                   std::to_string(row_bytes) + ")"),
              "");
  const std::string path = WriteTemp(name, head);
  const int file = open(path.c_str(), O_WRONLY);
  EXPECT_EQ(ftruncate(file, static_cast<off_t>(head.size()) + rows * row_bytes),
            0);
  for (int64_t row = 0; numbers && row < rows; ++row) {
    EXPECT_EQ(pwrite(file, &row, sizeof(row),
                     static_cast<off_t>(head.size()) + row * row_bytes),
              static_cast<ssize_t>(sizeof(row)));
  }
  close(file);
  return path;
}

constexpr int64_t kMiB = 1 << 20;

// Reads a shard into at most 16 MiB and expects that little more was used.
absl::StatusOr<Shard> ReadInLittleMemory(const std::string& path) {
  ReadShardOptions options;
  options.max_sample_bytes = 16 * kMiB;
  // Starts the count of the peak anew; Linux only, as the count is.
  std::ofstream("/proc/self/clear_refs") << "5";
  const auto before = ReadProcessMemory();
  auto shard = ReadShard(path, options);
  const auto after = ReadProcessMemory();
  if (before.ok() && after.ok()) {
    EXPECT_LT(after->peak_resident_bytes - before->resident_bytes, 24 * kMiB);
  }
  return shard;
}

TEST(LargeShardTest, CompressedArraysTakeLittleMemoryToo) {
  const std::string path = WriteTemp(
      "large.npz", ZipFile({{"x.npy", NpyFile(NpyHeader("|u1", "(96, 1048576)"),
                                              std::string(96 * kMiB, '\7'))}},
                           /*deflate=*/true));
  ReturnFreedMemory();
  const auto shard = ReadInLittleMemory(path);
  ASSERT_TRUE(shard.ok()) << shard.status();
  EXPECT_EQ(shard->size(), 15);
  EXPECT_EQ(shard->population(), 96);
}

TEST(LargeShardTest, PeakMemoryIsBoundedByTheSamplesThatAreKept) {
  const std::string path = SparseNpy("sparse.npy", 500, kMiB, true);
  const auto shard = ReadInLittleMemory(path);
  ASSERT_TRUE(shard.ok()) << shard.status();
  EXPECT_EQ(shard->size(), 15);
  EXPECT_EQ(shard->population(), 500);
  int64_t last = -1;
  for (int64_t i = 0; i < shard->size(); ++i) {
    int64_t number = 0;
    std::memcpy(&number, shard->samples().data<uint8_t>() + i * kMiB,
                sizeof(number));
    EXPECT_GT(number, last);
    last = number;
  }
  EXPECT_GT(last, 250) << "drawn from the front only";
  EXPECT_LT(last, 500);
  std::remove(path.c_str());
}

TEST(LargeShardTest, MoreThanTwoToThe31SamplesAreRefused) {
  const std::string path = SparseNpy("many.npy", 3000000000, 1, false);
  EXPECT_EQ(ReadShard(path, {}).status().message(),
            "shard \"" + path +
                "\" has 3000000000 samples, expected at most 2147483647");
  std::remove(path.c_str());
}

TEST(LargeShardTest, ASampleMustFit) {
  ReadShardOptions options;
  options.max_sample_bytes = 100;
  const std::string path = WriteTemp(
      "wide.npy", NpyFile(NpyHeader("|u1", "(2, 200)"), std::string(400, 'x')));
  EXPECT_EQ(ReadShard(path, options).status().message(),
            "shard \"" + path +
                "\" has samples that take 216 bytes, expected at most 100 "
                "(max_sample_bytes)");
}

// Sample i is i, twice, and its label is i % 10; a second input holds 1000 + i.
constexpr int kRows = 3000;
std::string First() {
  std::vector<float> values;
  for (int i = 0; i < 2 * kRows; ++i)
    values.push_back(static_cast<float>(i / 2));
  return Raw<float>(values);
}
std::string Second() {
  std::vector<int32_t> values(kRows);
  std::iota(values.begin(), values.end(), 1000);
  return Raw<int32_t>(values);
}
std::string LabelBytes() {
  std::vector<int64_t> labels(kRows);
  for (int i = 0; i < kRows; ++i) labels[i] = i % 10;
  return Raw<int64_t>(labels);
}

std::string WriteNpz(bool deflate) {
  return WriteTemp(
      "drawn.npz",
      ZipFile(
          {{"y.npy", NpyFile(NpyHeader("<i8", "(3000,)"), LabelBytes())},
           {"input_1.npy", NpyFile(NpyHeader("<i4", "(3000,)"), Second())},
           {"input_0.npy", NpyFile(NpyHeader("<f4", "(3000, 2)"), First())}},
          deflate));
}

std::string WritePt() {
  const std::string body =
      "}(" + PickleText("input_0") +
      PickleTensor({"FloatStorage", "0", 2 * kRows, 0, {kRows, 2}, {2, 1}}) +
      PickleText("input_1") +
      PickleTensor({"IntStorage", "1", kRows, 0, {kRows}, {1}}) +
      PickleText("y") +
      PickleTensor({"LongStorage", "2", kRows, 0, {kRows}, {1}}) + "u";
  return WriteTemp("drawn.pt",
                   PtFile(PickleFile(body), {First(), Second(), LabelBytes()}));
}

std::vector<int64_t> NumbersOf(const Shard& shard) {
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < shard.size(); ++i) {
    const float* const sample = shard.samples(0).data<float>() + 2 * i;
    const int64_t number = static_cast<int64_t>(sample[0]);
    EXPECT_EQ(sample[1], sample[0]);
    EXPECT_EQ(shard.samples(1).data<int64_t>()[i], 1000 + number);
    EXPECT_EQ(shard.labels()[i], number % 10);
    numbers.push_back(number);
  }
  return numbers;
}

TEST(LargeShardTest, InputsAndLabelsAreDrawnTogetherFromEveryFormat) {
  ReadShardOptions options;
  options.max_samples = 100;
  options.seed = 5;
  const std::vector<int64_t> want = ReservoirSample(kRows, 100, 5);
  for (const std::string& path : {WriteNpz(false), WriteNpz(true), WritePt()}) {
    const auto shard = ReadShard(path, options);
    ASSERT_TRUE(shard.ok()) << shard.status();
    EXPECT_EQ(shard->population(), kRows);
    EXPECT_EQ(NumbersOf(*shard), want) << path;
  }
}

TEST(LargeShardTest, RecordsAreDrawnFromCifarBinaries) {
  std::string bytes;
  for (int i = 0; i < 50; ++i) {
    bytes += std::string(1, static_cast<char>(i % 10)) +
             std::string(3072, static_cast<char>(i));
  }
  ReadShardOptions options;
  options.max_sample_bytes = 20 * (3072 + 16);
  const auto shard = ReadShard(WriteTemp("drawn.bin", bytes), options);
  ASSERT_TRUE(shard.ok()) << shard.status();
  ASSERT_EQ(shard->size(), 20);
  const std::vector<int64_t> want = ReservoirSample(50, 20, 0);
  for (int64_t i = 0; i < 20; ++i) {
    EXPECT_EQ(shard->samples().data<uint8_t>()[i * 3072 + 3071], want[i]);
    EXPECT_EQ(shard->labels()[i], want[i] % 10);
  }
}

// What a message calls sample 7 is number 7 of the file.
TEST(LargeShardTest, MessagesCountInTheFile) {
  std::vector<float> values(1000, 1.0F);
  const int64_t bad = ReservoirSample(1000, 10, 0)[4];
  values[bad] = std::numeric_limits<float>::infinity();
  ReadShardOptions options;
  options.max_samples = 10;
  const auto shard = ReadShard(
      WriteTemp("bad.npy", NpyFile(NpyHeader("<f4", "(1000, 1)"), Raw(values))),
      options);
  EXPECT_THAT(std::string(shard.status().message()),
              HasSubstr("bad.npy\" sample " + std::to_string(bad) +
                        " holds the value inf, expected finite numbers"));
}

TEST(LargeShardTest, ReportsProgressAndCanBeCancelled) {
  const std::string path = SparseNpy("progress.npy", 20, 1 << 18, false);
  std::vector<int64_t> done;
  ReadShardOptions options;
  options.control.on_progress = [&](const Progress& progress) {
    EXPECT_EQ(progress.phase, "read");
    EXPECT_EQ(progress.total, 20);
    done.push_back(progress.done);
  };
  ASSERT_TRUE(ReadShard(path, options).ok());
  EXPECT_EQ(done, (std::vector<int64_t>{4, 8, 12, 16, 20}));
  options.control.cancelled = [&] { return done.size() > 6; };
  EXPECT_EQ(ReadShard(path, options).status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(done.size(), 7u);
}

}  // namespace
}  // namespace quantserve
