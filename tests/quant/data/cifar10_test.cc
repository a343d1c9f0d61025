#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/quant/data/writers.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;

std::string Record(char label, char fill) {
  return std::string(1, label) + std::string(3072, fill);
}

TEST(Cifar10Test, ReadsLabelsAndPlanes) {
  std::string second = Record(9, 0);
  second[1] = 1;              // red, first pixel
  second[1 + 1024] = 2;       // green
  second[1 + 2048 + 33] = 3;  // blue, second row, second pixel
  const auto shard = ReadCifar10Bytes(Record(4, 7) + second);
  ASSERT_TRUE(shard.ok()) << shard.status();
  EXPECT_EQ(shard->labels, (std::vector<int64_t>{4, 9}));
  EXPECT_EQ(shard->inputs[0].samples.shape(), (Shape{2, 3, 32, 32}));
  const uint8_t* const pixels = shard->inputs[0].samples.data<uint8_t>();
  EXPECT_EQ(pixels[0], 7);
  EXPECT_EQ(pixels[3072 + 0], 1);
  EXPECT_EQ(pixels[3072 + 1024], 2);
  EXPECT_EQ(pixels[3072 + 2048 + 33], 3);
}

TEST(Cifar10Test, RefusesPartsOfRecords) {
  for (const std::string& bytes :
       {std::string(), std::string("x"), Record(1, 0) + "x",
        Record(1, 0).substr(1)}) {
    const auto shard = ReadCifar10Bytes(bytes);
    EXPECT_EQ(shard.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(shard.status().message()),
                HasSubstr("expected a multiple of 3073"));
  }
}

TEST(Cifar10Test, RefusesLabelsAboveNine) {
  const auto shard = ReadCifar10Bytes(Record(0, 0) + Record(10, 0));
  EXPECT_EQ(shard.status().message(),
            "record 1 has the label 10, expected 0 to 9 (CIFAR-10 records)");
}

}  // namespace
}  // namespace quantserve
