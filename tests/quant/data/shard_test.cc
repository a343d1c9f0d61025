#include "quant/data/shard.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/quant/data/writers.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;

Tensor Floats(Shape shape, std::vector<float> values) {
  Tensor tensor(DType::kF32, std::move(shape));
  std::copy(values.begin(), values.end(), tensor.data<float>());
  return tensor;
}

TEST(ShardTest, KnowsItsSamples) {
  const auto shard =
      Shard::Make("s", Floats({2, 3}, {1, 2, 3, 4, 5, 6}), {4, 0});
  ASSERT_TRUE(shard.ok()) << shard.status();
  EXPECT_EQ(shard->name(), "s");
  EXPECT_EQ(shard->num_inputs(), 1u);
  EXPECT_EQ(shard->input_name(0), "input_0");
  EXPECT_EQ(shard->size(), 2);
  EXPECT_EQ(shard->dtype(), DType::kF32);
  EXPECT_EQ(shard->sample_shape(), (Shape{3}));
  EXPECT_EQ(shard->sample_elements(), 3);
  EXPECT_TRUE(shard->has_labels());
  EXPECT_EQ(shard->labels()[0], 4);
}

TEST(ShardTest, CopiesFloatsAsTheyAre) {
  const auto shard = Shard::Make("s", Floats({3, 1}, {1, 2, 3}), {});
  ASSERT_TRUE(shard.ok());
  EXPECT_FALSE(shard->has_labels());
  Preprocessing preprocessing;
  preprocessing.mean = {100};
  std::array<float, 2> out;
  shard->Copy(1, 2, preprocessing, absl::MakeSpan(out));
  EXPECT_EQ(out, (std::array<float, 2>{2, 3}));
}

TEST(ShardTest, PreprocessesBytes) {
  Tensor tensor(DType::kU8, {2, 2});
  tensor.data<uint8_t>()[2] = 10;
  tensor.data<uint8_t>()[3] = 20;
  const auto shard = Shard::Make("s", std::move(tensor), {});
  ASSERT_TRUE(shard.ok());
  Preprocessing preprocessing;
  preprocessing.scale = 1;
  preprocessing.mean = {1, 2};
  std::array<float, 2> out;
  shard->Copy(1, 1, preprocessing, absl::MakeSpan(out));
  EXPECT_EQ(out, (std::array<float, 2>{9, 18}));
}

Tensor Integers(Shape shape, std::vector<int64_t> values) {
  Tensor tensor(DType::kI64, std::move(shape));
  std::copy(values.begin(), values.end(), tensor.data<int64_t>());
  return tensor;
}

TEST(ShardTest, CopiesIntegersWithoutPreprocessing) {
  const auto shard =
      Shard::Make("s", Integers({2, 2}, {7, -16777216, 16777216, 1}), {});
  ASSERT_TRUE(shard.ok()) << shard.status();
  Preprocessing preprocessing;
  preprocessing.mean = {100};
  std::array<float, 4> out;
  shard->Copy(0, 2, preprocessing, absl::MakeSpan(out));
  EXPECT_EQ(out, (std::array<float, 4>{7, -16777216, 16777216, 1}));
}

TEST(ShardTest, HoldsSeveralInputs) {
  std::vector<ShardInput> inputs(2);
  inputs[0] = {"ids", Integers({2, 2}, {1, 2, 3, 4})};
  inputs[1] = {"image", Floats({2, 1, 3}, {1, 2, 3, 4, 5, 6})};
  const auto shard = Shard::Make("s", std::move(inputs), {1, 0});
  ASSERT_TRUE(shard.ok()) << shard.status();
  EXPECT_EQ(shard->num_inputs(), 2u);
  EXPECT_EQ(shard->size(), 2);
  EXPECT_EQ(shard->population(), 2);
  EXPECT_EQ(shard->input_name(1), "image");
  EXPECT_EQ(shard->dtype(0), DType::kI64);
  EXPECT_EQ(shard->dtype(1), DType::kF32);
  EXPECT_EQ(shard->sample_shape(), (Shape{2}));
  EXPECT_EQ(shard->sample_shape(1), (Shape{1, 3}));
  EXPECT_EQ(shard->sample_elements(1), 3);
  std::array<float, 3> out;
  shard->Copy(1, 1, 1, {}, absl::MakeSpan(out));
  EXPECT_EQ(out, (std::array<float, 3>{4, 5, 6}));
}

TEST(ShardTest, ItsDigestIsThatOfItsContents) {
  const auto digest = [](Tensor samples, std::vector<int64_t> labels,
                         const char* name = "s") {
    const auto shard = Shard::Make(name, std::move(samples), std::move(labels));
    EXPECT_TRUE(shard.ok()) << shard.status();
    return shard->sha256();
  };
  const std::string one = digest(Floats({2, 2}, {1, 2, 3, 4}), {4, 0});
  EXPECT_EQ(one.size(), 64u);
  EXPECT_EQ(digest(Floats({2, 2}, {1, 2, 3, 4}), {4, 0}, "other name"), one);
  EXPECT_NE(digest(Floats({2, 2}, {1, 2, 3, 5}), {4, 0}), one);
  EXPECT_NE(digest(Floats({2, 1, 2}, {1, 2, 3, 4}), {4, 0}), one);
  EXPECT_NE(digest(Floats({2, 2}, {1, 2, 3, 4}), {4, 1}), one);
  EXPECT_NE(digest(Floats({2, 2}, {1, 2, 3, 4}), {}), one);
  // The same bytes as another type, and as two inputs.
  EXPECT_NE(digest(Tensor(DType::kU8, {2, 8}), {}),
            digest(Tensor(DType::kF32, {2, 2}), {}));
  std::vector<ShardInput> inputs(2);
  inputs[0] = {"a", Tensor(DType::kU8, {2, 4})};
  inputs[1] = {"b", Tensor(DType::kU8, {2, 4})};
  EXPECT_NE(Shard::Make("s", std::move(inputs), {})->sha256(),
            digest(Tensor(DType::kU8, {2, 8}), {}));
}

TEST(ShardTest, InputsMustHaveTheSameNumberOfSamples) {
  std::vector<ShardInput> inputs(2);
  inputs[0] = {"a", Floats({2}, {1, 2})};
  inputs[1] = {"b", Floats({3}, {1, 2, 3})};
  EXPECT_EQ(Shard::Make("s", std::move(inputs), {}).status().message(),
            "has 3 samples of b, expected 2 as of the first input");
  EXPECT_EQ(Shard::Make("s", std::vector<ShardInput>(), {}).status().message(),
            "has no inputs, expected at least one");
}

TEST(ShardTest, RefusesBadSamplesAndLabels) {
  const float nan = std::nanf("");
  const float inf = std::numeric_limits<float>::infinity();
  const auto message = [](absl::StatusOr<Shard> shard) {
    EXPECT_EQ(shard.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(shard.status().message());
  };
  EXPECT_EQ(message(Shard::Make("s", Floats({2, 2}, {1, 2, 3, nan}), {})),
            "sample 1 holds the value nan, expected finite numbers");
  EXPECT_EQ(message(Shard::Make("s", Floats({2, 2}, {1, -inf, 3, 4}), {})),
            "sample 0 holds the value -inf, expected finite numbers");
  for (const int64_t value : {int64_t{16777217}, int64_t{-16777217},
                              std::numeric_limits<int64_t>::min()}) {
    EXPECT_EQ(message(Shard::Make("s", Integers({2, 1}, {1, value}), {})),
              "sample 1 holds the value " + std::to_string(value) +
                  ", expected integers from -16777216 to 16777216");
  }
  EXPECT_EQ(message(Shard::Make("s", Floats({2}, {1, 2}), {1})),
            "has 1 labels for 2 samples");
  EXPECT_EQ(message(Shard::Make("s", Floats({2}, {1, 2}), {1, -1})),
            "sample 1 has the label -1, expected 0 or more");
  EXPECT_THAT(message(Shard::Make("s", Tensor(DType::kS32, {2}), {})),
              HasSubstr("type int32, expected uint8, float32 or int64"));
  EXPECT_THAT(message(Shard::Make("s", Tensor(DType::kF32, {0, 3}), {})),
              HasSubstr("has samples of shape [0,3]"));
  EXPECT_THAT(message(Shard::Make("s", Tensor(DType::kF32, {}), {})),
              HasSubstr("has samples of shape []"));
  EXPECT_THAT(message(Shard::Make("s", Tensor(), {})),
              HasSubstr("has samples of shape []"));
}

std::string Npz(std::vector<int64_t> labels) {
  const std::string shape = "(" + std::to_string(labels.size()) + ",)";
  return ZipFile(
      {{"x.npy",
        NpyFile(NpyHeader("<f4", "(2, 3)"), Raw<float>({1, 2, 3, 4, 5, 6}))},
       {"y.npy", NpyFile(NpyHeader("<i8", shape), Raw<int64_t>(labels))}});
}

TEST(ReadShardTest, ReadsEachFormatByItsEnding) {
  const std::string floats = Raw<float>({1, 2, 3, 4, 5, 6});
  const struct {
    std::string name;
    std::string bytes;
    Shape sample_shape;
  } kCases[] = {
      {"a.bin", std::string(3073, '\1'), {3, 32, 32}},
      {"a.npy", NpyFile(NpyHeader("<f4", "(2, 3)"), floats), {3}},
      {"a.npz", Npz({1, 2}), {3}},
      {"a.pt",
       PtFile(PickleFile(
                  PickleTensor({"FloatStorage", "0", 6, 0, {2, 3}, {3, 1}})),
              {floats}),
       {3}},
  };
  for (const auto& c : kCases) {
    const auto shard = ReadShard(WriteTemp(c.name, c.bytes), {});
    ASSERT_TRUE(shard.ok()) << shard.status();
    EXPECT_EQ(shard->name(), c.name);
    EXPECT_EQ(shard->sample_shape(), c.sample_shape);
  }
}

TEST(ReadShardTest, NamesTheFileTheValueAndTheExpectation) {
  const auto message = [](const std::string& name, const std::string& bytes,
                          const ReadShardOptions& options) {
    const auto shard = ReadShard(WriteTemp(name, bytes), options);
    EXPECT_EQ(shard.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(shard.status().message());
  };
  ReadShardOptions options;
  EXPECT_EQ(message("e.bin", "", options),
            "\"" + TempPath("e.bin") + "\" is empty");
  EXPECT_EQ(message("t.bin", std::string(100, 'x'), options),
            "shard \"" + TempPath("t.bin") +
                "\" has 100 bytes, expected a multiple of 3073 (CIFAR-10 "
                "records: 1 label byte and 3072 bytes)");
  EXPECT_EQ(message("a.tar", "x", options),
            "shard \"" + TempPath("a.tar") +
                "\" has an unknown ending, expected .bin, .npy, .npz or .pt");
  EXPECT_THAT(message("n.npz", Npz({1}), options),
              HasSubstr("n.npz\" has 1 labels for 2 samples"));
  EXPECT_THAT(message("m.npz", Npz({1, -2}), options),
              HasSubstr("m.npz\" sample 1 has the label -2, expected 0 or"));
  options.num_classes = 3;
  EXPECT_THAT(message("l.npz", Npz({2, 3}), options),
              HasSubstr("l.npz\" sample 1 has the label 3, expected 0 to 2"));
  options.sample_shape = {3, 32, 32};
  EXPECT_THAT(
      message("s.npz", Npz({0, 1}), options),
      HasSubstr("s.npz\" has samples of shape [3], expected [3,32,32]"));
  options.max_bytes = 10;
  EXPECT_THAT(message("b.npz", Npz({0, 1}), options),
              HasSubstr("bytes, at most 10 are allowed"));
}

TEST(ReadShardTest, RefusesWhatIsNoFile) {
  EXPECT_EQ(ReadShard(TempPath("none.npy"), {}).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadShard("", {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadShard(TempPath("") + "a.npy/b.npy", {}).status().code(),
            absl::StatusCode::kNotFound);
  // A folder is an image folder, whatever it is called.
  std::filesystem::create_directories(TempPath("folder.npy"));
  const auto folder = ReadShard(TempPath("folder.npy"), {});
  EXPECT_EQ(folder.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(folder.status().message()),
              HasSubstr("holds no images"));
}

// Opening a pipe would wait for somebody who writes to it.
TEST(ReadShardTest, RefusesPipesWithoutWaiting) {
  const std::string path = TempPath("pipe.npy");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(ReadShard(path, {}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(ReadShardTest, OneSampleOneClassAndConstantsAreShards) {
  const std::string path = WriteTemp(
      "one.npz",
      ZipFile(
          {{"x.npy", NpyFile(NpyHeader("<f4", "(1, 2)"), Raw<float>({0, 0}))},
           {"y.npy", NpyFile(NpyHeader("<i8", "(1,)"), Raw<int64_t>({0}))}}));
  const auto one = ReadShard(path, {});
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ(one->size(), 1);
  EXPECT_EQ(one->population(), 1);
  const auto scalars = ReadShard(
      WriteTemp("scalars.npy",
                NpyFile(NpyHeader("|u1", "(3,)"), std::string(3, '\0'))),
      {});
  ASSERT_TRUE(scalars.ok()) << scalars.status();
  EXPECT_EQ(scalars->sample_shape(), Shape{});
}

TEST(ReadShardTest, OptionsAreChecked) {
  ReadShardOptions options;
  options.max_samples = -1;
  EXPECT_THAT(
      std::string(ReadShard(TempPath("none.npy"), options).status().message()),
      HasSubstr("max_samples is -1, expected"));
}

TEST(ReadShardTest, ReadsTheRealShards) {
  const std::string folder = std::string(QUANTSERVE_SHARED_DIR) + "/data/";
  if (!std::filesystem::exists(folder)) {
    GTEST_SKIP() << "the real models and data are not there: " << folder;
  }
  const struct {
    const char* name;
    int64_t size;
  } kShards[] = {{"cifar10_calibration.bin", 512},
                 {"cifar10_test.bin", 512},
                 {"cifar10_jpeg_calibration.bin", 512},
                 {"cifar10_jpeg_test.bin", 2000}};
  ReadShardOptions options;
  options.sample_shape = {3, 32, 32};
  options.num_classes = 10;
  for (const auto& c : kShards) {
    const auto shard = ReadShard(folder + c.name, options);
    ASSERT_TRUE(shard.ok()) << shard.status();
    EXPECT_EQ(shard->size(), c.size);
    EXPECT_TRUE(shard->has_labels());
  }
}

}  // namespace
}  // namespace quantserve
