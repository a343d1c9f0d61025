#include "quant/data/npy.h"

#include <cmath>
#include <limits>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/quant/data/writers.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;

// Two samples with the labels of a .npy file.
absl::StatusOr<RawShard> WithLabels(const std::string& labels) {
  return ReadNpzBytes(
      ZipFile({{"x.npy", NpyFile(NpyHeader("<f4", "(2,)"), Raw<float>({1, 2}))},
               {"y.npy", labels}}),
      1 << 20);
}

TEST(NpyTest, ReadsTheThreeSampleTypes) {
  const auto u1 = ReadNpyBytes(
      NpyFile(NpyHeader("|u1", "(2, 3)"), Raw<uint8_t>({0, 1, 2, 3, 4, 255})));
  ASSERT_TRUE(u1.ok()) << u1.status();
  EXPECT_EQ(u1->inputs[0].samples.dtype(), DType::kU8);
  EXPECT_EQ(u1->inputs[0].samples.shape(), (Shape{2, 3}));
  EXPECT_EQ(u1->inputs[0].samples.data<uint8_t>()[5], 255);
  EXPECT_TRUE(u1->labels.empty());

  const auto f4 =
      ReadNpyBytes(NpyFile(NpyHeader("<f4", "(2,)"), Raw<float>({1.5F, -2})));
  ASSERT_TRUE(f4.ok()) << f4.status();
  EXPECT_EQ(f4->inputs[0].samples.data<float>()[1], -2);

  const auto f8 = ReadNpyBytes(
      NpyFile(NpyHeader("<f8", "(2,)"), Raw<double>({1.5, 1e300})));
  ASSERT_TRUE(f8.ok()) << f8.status();
  EXPECT_EQ(f8->inputs[0].samples.dtype(), DType::kF32);
  EXPECT_EQ(f8->inputs[0].samples.data<float>()[0], 1.5F);
  // Too large for a float: left for Shard::Make to refuse.
  EXPECT_TRUE(std::isinf(f8->inputs[0].samples.data<float>()[1]));
}

// Token ids, say. What is too large is left for Shard::Make to refuse.
TEST(NpyTest, ReadsEveryKindOfIntegerSample) {
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
  const struct {
    const char* descr;
    std::string data;
    int64_t want;
  } kCases[] = {
      {"|i1", Raw<int8_t>({3, -100}), -100},
      {"<u2", Raw<uint16_t>({3, 60000}), 60000},
      {"<i2", Raw<int16_t>({3, -30000}), -30000},
      {"<u4", Raw<uint32_t>({3, 1u << 31}), int64_t{1} << 31},
      {"<i4", Raw<int32_t>({3, -5}), -5},
      {"<u8", Raw<uint64_t>({3, ~uint64_t{0}}), kLargest},
      {"<i8", Raw<int64_t>({3, -kLargest}), -kLargest},
  };
  for (const auto& c : kCases) {
    const auto shard =
        ReadNpyBytes(NpyFile(NpyHeader(c.descr, "(1, 2)"), c.data));
    ASSERT_TRUE(shard.ok()) << shard.status();
    const Tensor& samples = shard->inputs[0].samples;
    EXPECT_EQ(samples.dtype(), DType::kI64) << c.descr;
    EXPECT_EQ(samples.data<int64_t>()[0], 3) << c.descr;
    EXPECT_EQ(samples.data<int64_t>()[1], c.want) << c.descr;
  }
}

TEST(NpyTest, ReadsVersionTwoHeaders) {
  const std::string header = NpyHeader("|u1", "(1,)");
  const std::string bytes = std::string("\x93NUMPY\x02\x00", 8) +
                            std::string(1, static_cast<char>(header.size())) +
                            std::string(3, '\0') + header + "x";
  EXPECT_TRUE(ReadNpyBytes(bytes).ok());
}

TEST(NpyTest, ReadsEveryKindOfIntegerLabel) {
  const struct {
    const char* descr;
    std::string data;
  } kCases[] = {
      {"|u1", Raw<uint8_t>({3, 200})},
      {"|i1", Raw<int8_t>({3, 100})},
      {"<u2", Raw<uint16_t>({3, 60000})},
      {"<i2", Raw<int16_t>({3, 30000})},
      {"<u4", Raw<uint32_t>({3, 1u << 31})},
      {"<i4", Raw<int32_t>({3, 1 << 30})},
      {"<u8", Raw<uint64_t>({3, uint64_t{1} << 40})},
      {"<i8", Raw<int64_t>({3, int64_t{1} << 40})},
  };
  for (const auto& c : kCases) {
    const auto shard =
        WithLabels(NpyFile(NpyHeader(c.descr, "(2, 1)"), c.data));
    ASSERT_TRUE(shard.ok()) << shard.status();
    EXPECT_EQ(shard->labels[0], 3) << c.descr;
    EXPECT_GT(shard->labels[1], 3) << c.descr;
  }
}

TEST(NpyTest, LabelsMustBeOneIntegerEach) {
  const auto refuse = [](const char* descr, const char* shape,
                         const std::string& data) {
    return std::string(
        WithLabels(NpyFile(NpyHeader(descr, shape), data)).status().message());
  };
  EXPECT_EQ(refuse("<f4", "(1,)", Raw<float>({1})),
            "entry \"y\" has labels of type f4, expected integers");
  EXPECT_EQ(
      refuse("|u1", "(1, 2)", "xx"),
      "entry \"y\" has labels of shape [1,2], expected one number for each "
      "sample");
  EXPECT_EQ(refuse("|u1", "()", "x"),
            "entry \"y\" has labels of shape [], expected one number for each "
            "sample");
}

TEST(NpyTest, RefusesWhatItCannotRead) {
  const std::string two = Raw<float>({1, 2});
  const struct {
    const char* name;
    std::string bytes;
    const char* message;
  } kBad[] = {
      {"empty", "", "does not start as NumPy's files do"},
      {"foreign", std::string(200, 'a'), "does not start as NumPy's files do"},
      {"only magic", "\x93NUMPY", "does not start as NumPy's files do"},
      {"future version", std::string("\x93NUMPY\x09\x00\x01\x00{}", 12),
       "format version 9, expected 1, 2 or 3"},
      {"header beyond the file",
       std::string("\x93NUMPY\x01\x00\xff\x26{}      ", 18),
       "the header's length is 9983, but 8 bytes follow"},
      {"huge header",
       std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff{}    ", 18),
       "the header's length is 4294967295"},
      {"no dict", NpyFile("hello", ""), "its header can't be read"},
      {"unknown key", NpyFile("{'colour': 'red'}", ""),
       "its header can't be read"},
      {"code in the header",
       NpyFile("{'descr': __import__('os'), 'shape': (1,)}", ""),
       "element type a structure"},
      {"open dict", NpyFile("{'descr': '<f4', ", ""),
       "its header can't be read"},
      {"text behind the dict", NpyFile(NpyHeader("<f4", "(2,)") + "x", two),
       "its header can't be read"},
      {"no shape", NpyFile("{'descr': '<f4', 'fortran_order': False}", two),
       "its header lacks fortran_order or shape"},
      {"no order", NpyFile("{'descr': '<f4', 'shape': (2,)}", two),
       "its header lacks fortran_order or shape"},
      {"negative shape", NpyFile(NpyHeader("<f4", "(-2,)"), two),
       "its header can't be read"},
      {"shape beyond 64 bits",
       NpyFile(NpyHeader("<f4", "(99999999999999999999,)"), two),
       "its header can't be read"},
      {"overflowing shape",
       NpyFile(NpyHeader("<f4", "(4294967296, 4294967296)"), two),
       "has too many elements"},
      {"zero hides nothing",
       NpyFile(NpyHeader("<f4", "(9223372036854775807, 0)"), ""),
       "has too many elements"},
      {"shape of words", NpyFile(NpyHeader("<f4", "(two,)"), two),
       "its header can't be read"},
      {"Fortran order", NpyFile(NpyHeader("<f4", "(1, 2)", "True"), two),
       "is in Fortran order, expected C order"},
      {"big-endian", NpyFile(NpyHeader(">f4", "(2,)"), two),
       "has the element type >f4"},
      {"objects", NpyFile(NpyHeader("|O", "(2,)"), two),
       "has the element type |O"},
      {"strings", NpyFile(NpyHeader("<U5", "(2,)"), two),
       "has the element type <U5"},
      {"structures",
       NpyFile("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': "
               "(2,)}",
               two),
       "has the element type a structure"},
      {"truncated data", NpyFile(NpyHeader("<f4", "(3,)"), two),
       "8 bytes of data, shape [3] of <f4 has 12"},
      {"trailing data", NpyFile(NpyHeader("<f4", "(1,)"), two),
       "8 bytes of data, shape [1] of <f4 has 4"},
      {"half floats", NpyFile(NpyHeader("<f2", "(4,)"), two),
       "has the element type <f2"},
      {"truth values as samples", NpyFile(NpyHeader("|b1", "(8,)"), two),
       "has samples of type b1, expected uint8, float32, float64 or integers"},
      {"a scalar", NpyFile(NpyHeader("<f4", "()"), Raw<float>({1})),
       "has samples of shape []"},
      {"no samples", NpyFile(NpyHeader("<f4", "(0, 3)"), ""),
       "has samples of shape [0,3], expected [N, ...] with at least one"},
      {"empty samples", NpyFile(NpyHeader("<f4", "(3, 0)"), ""),
       "has samples of shape [3,0]"},
  };
  for (const auto& c : kBad) {
    const auto shard = ReadNpyBytes(c.bytes);
    EXPECT_EQ(shard.status().code(), absl::StatusCode::kInvalidArgument)
        << c.name;
    EXPECT_THAT(std::string(shard.status().message()), HasSubstr(c.message))
        << c.name;
  }
}

// Every prefix is refused; no mutation reads outside the bytes
// (AddressSanitizer sees to that).
TEST(NpyTest, SurvivesTruncationAndMutation) {
  const std::string whole =
      NpyFile(NpyHeader("<f4", "(2, 2)"), Raw<float>({1, 2, 3, 4}));
  ASSERT_TRUE(ReadNpyBytes(whole).ok());
  for (size_t n = 0; n < whole.size(); ++n) {
    EXPECT_FALSE(ReadNpyBytes(whole.substr(0, n)).ok()) << n;
  }
  std::mt19937 random(11);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = whole;
    for (unsigned k = random() % 3 + 1; k > 0; --k) {
      bytes[random() % 80] = static_cast<char>(random());
    }
    (void)ReadNpyBytes(bytes);
  }
}

}  // namespace
}  // namespace quantserve
