#include <fstream>
#include <string>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"
#include "client/quantctl/command.h"
#include "client/quantctl/image.h"
#include "client/quantctl/input.h"
#include "client/quantctl/load.h"
#include "client/quantctl/report.h"
#include "client/quantctl/table.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

ABSL_DECLARE_FLAG(std::string, image);
ABSL_DECLARE_FLAG(std::string, shard);
ABSL_DECLARE_FLAG(int64_t, index);
ABSL_DECLARE_FLAG(std::string, raw);
ABSL_DECLARE_FLAG(std::string, dtype);

namespace quantserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string WriteFile(const std::string& name, const std::string& bytes) {
  const std::string path = ::testing::TempDir() + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

// A PNG file of two pixels, red and blue.
std::string TinyPng() {
  const unsigned char bytes[] = {
      0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d,
      0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01,
      0x08, 0x02, 0x00, 0x00, 0x00, 0x7b, 0x40, 0xe8, 0xdd, 0x00, 0x00, 0x00,
      0x0d, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0xf8, 0xcf, 0x00, 0x04,
      0xff, 0x01, 0x07, 0x00, 0x01, 0xff, 0x3d, 0x7d, 0x8c, 0x49, 0x00, 0x00,
      0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};
  return {reinterpret_cast<const char*>(bytes), sizeof(bytes)};
}

// The start of a PNG file that claims 60,000 x 60,000 pixels.
std::string HugePng() {
  const unsigned char bytes[] = {
      0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00,
      0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0xea, 0x60, 0x00, 0x00,
      0xea, 0x60, 0x08, 0x02, 0x00, 0x00, 0x00, 0x0f, 0xb0, 0xe2, 0x15};
  return {reinterpret_cast<const char*>(bytes), sizeof(bytes)};
}

v1::ModelStatus Model(std::vector<int64_t> shape) {
  v1::ModelStatus model;
  v1::TensorSpec* spec = model.add_inputs();
  spec->set_name("x");
  *spec->mutable_shape() = {shape.begin(), shape.end()};
  return model;
}

class InputTest : public ::testing::Test {
 protected:
  std::string Error(const v1::ModelStatus& model) {
    const auto input = ReadInput(model);
    EXPECT_FALSE(input.ok());
    EXPECT_TRUE(IsUsageError(input.status())) << input.status();
    return std::string(input.status().message());
  }
  absl::FlagSaver saver_;
};

TEST(TableTest, AlignsColumnsByCharacters) {
  Table table({"a", "long"});
  table.Add({"12345", "x", "more"});
  table.Add({"µµ", "y"});
  EXPECT_EQ(table.Render(),
            "a      long\n"
            "-----------------\n"
            "12345  x     more\n"
            "µµ     y\n");
}

TEST(TableTest, NumbersHaveUnits) {
  EXPECT_EQ(Milliseconds(absl::Microseconds(470)), "0.470 ms");
  EXPECT_EQ(Milliseconds(absl::Microseconds(4700)), "4.70 ms");
  EXPECT_EQ(Milliseconds(absl::Seconds(2)), "2000 ms");
  EXPECT_EQ(Milliseconds(absl::ZeroDuration()), "-");
  EXPECT_EQ(Bytes(999), "999 B");
  EXPECT_EQ(Bytes(273920), "273.9 kB");
  EXPECT_EQ(Bytes(44891155), "44.89 MB");
}

TEST(ImageTest, BecomesPlanesOfTheModelsSize) {
  const std::string path = WriteFile("two.png", TinyPng());
  const auto same = ReadImage(path, 3, 1, 2);
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(*same, std::string("\xff\0\0\0\0\xff", 6));
  const auto larger = ReadImage(path, 3, 4, 8);
  ASSERT_TRUE(larger.ok()) << larger.status();
  EXPECT_EQ(larger->size(), 3 * 4 * 8);
  EXPECT_EQ((*larger)[0], '\xff');
  EXPECT_EQ(ReadImage(path, 1, 1, 2)->size(), 2);
}

TEST(ImageTest, RefusesWhatIsNoImage) {
  EXPECT_EQ(ReadImage("/no/such.png", 3, 1, 1).status().code(),
            absl::StatusCode::kNotFound);
  for (const std::string& bytes :
       {std::string(), std::string("hello"),
        TinyPng().substr(0, TinyPng().size() / 2), HugePng()}) {
    const auto image = ReadImage(WriteFile("bad.png", bytes), 3, 1, 1);
    EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument)
        << bytes;
    EXPECT_THAT(std::string(image.status().message()), HasSubstr("bad.png"));
  }
}

TEST_F(InputTest, IsASampleOfAShard) {
  std::string shard(2 * 3073, '\0');
  shard[3073] = 9;
  shard[3074] = 'p';
  absl::SetFlag(&FLAGS_shard, WriteFile("two.bin", shard));
  absl::SetFlag(&FLAGS_index, 1);
  const auto input = ReadInput(Model({3, 32, 32}));
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ((*input)->label, 9);
  const v1::Tensor& tensor = (*input)->tensor;
  EXPECT_EQ(tensor.dtype(), v1::UINT8);
  EXPECT_THAT(tensor.shape(), ElementsAre(1, 3, 32, 32));
  EXPECT_EQ(tensor.data().size(), 3072);
  EXPECT_EQ(tensor.data()[0], 'p');
}

TEST_F(InputTest, IsARawTensorOfSeveralSamples) {
  absl::SetFlag(&FLAGS_raw, WriteFile("raw", std::string(3 * 2 * 4, '\0')));
  const auto floats = ReadInput(Model({2}));
  ASSERT_TRUE(floats.ok()) << floats.status();
  EXPECT_THAT((*floats)->tensor.shape(), ElementsAre(3, 2));
  absl::SetFlag(&FLAGS_dtype, "uint8");
  const auto bytes = ReadInput(Model({2}));
  EXPECT_THAT((*bytes)->tensor.shape(), ElementsAre(12, 2));
}

TEST_F(InputTest, EachMistakeIsNamed) {
  EXPECT_FALSE(ReadInput(Model({2}))->has_value());
  absl::SetFlag(&FLAGS_raw, "/no/raw");
  EXPECT_THAT(Error(Model({2})), HasSubstr("no file /no/raw"));
  absl::SetFlag(&FLAGS_raw, WriteFile("odd", "12345"));
  EXPECT_THAT(Error(Model({2})), HasSubstr("has 5 bytes"));
  absl::SetFlag(&FLAGS_dtype, "int8");
  EXPECT_THAT(Error(Model({2})), HasSubstr("want fp32 or uint8"));
  absl::SetFlag(&FLAGS_shard, WriteFile("odd.bin", "12345"));
  EXPECT_THAT(Error(Model({3, 32, 32})), HasSubstr("one of"));
  absl::SetFlag(&FLAGS_raw, "");
  EXPECT_THAT(Error(Model({3, 32, 32})), HasSubstr("multiple of 3073"));
  EXPECT_THAT(Error(Model({2})), HasSubstr("holds [3,32,32]"));
  absl::SetFlag(&FLAGS_shard, WriteFile("one.bin", std::string(3073, 'x')));
  absl::SetFlag(&FLAGS_index, 1);
  EXPECT_THAT(Error(Model({3, 32, 32})), HasSubstr("--index is 1"));
  absl::SetFlag(&FLAGS_index, -1);
  EXPECT_THAT(Error(Model({3, 32, 32})), HasSubstr("--index is -1"));
  absl::SetFlag(&FLAGS_shard, "");
  absl::SetFlag(&FLAGS_image, "/no/image.png");
  EXPECT_THAT(Error(Model({3, 4, 4})), HasSubstr("/no/image.png"));
  EXPECT_THAT(Error(Model({2, 4, 4})), HasSubstr("no image"));
}

TEST(CommandTest, EveryFlagOnAUsagePageExists) {
  for (const Command& command :
       {PredictCommand(), QuantizeCommand(), StatusCommand(), EvaluateCommand(),
        BenchCommand(), CompareCommand(), WaitCommand()}) {
    for (const FlagGroup& group : command.line.groups) {
      for (const std::string& flag : group.flags) {
        EXPECT_NE(absl::FindCommandLineFlag(flag), nullptr) << flag;
        EXPECT_THAT(UsagePage(command.line), HasSubstr("--" + flag));
      }
    }
  }
}

TEST(LoadTest, PercentilesAreThoseOfAllRounds) {
  Load load;
  EXPECT_EQ(Percentile(load.latencies, 0.5), absl::ZeroDuration());
  Load other;
  other.latencies = {0.004, 0.002};
  other.seconds = 1;
  load.Add(other);
  EXPECT_EQ(Percentile(load.latencies, 1), absl::Milliseconds(4));
  other.latencies = {0.001, 0.003};
  load.Add(other);
  EXPECT_EQ(Percentile(load.latencies, 0), absl::Milliseconds(1));
  EXPECT_EQ(Percentile(load.latencies, 0.5), absl::Milliseconds(2));
  EXPECT_EQ(Percentile(load.latencies, 0.99), absl::Milliseconds(4));
  EXPECT_EQ(load.Rate(), 2);
}

TEST(ReportTest, TellsARefusalAndItsReason) {
  v1::QuantizeResult result;
  result.set_error("the gate refused the new variant: 0.5 is too low");
  result.mutable_gate()->set_reason("0.5 is too low");
  result.mutable_int8()->set_accuracy(0.5);
  result.mutable_engine()->set_precision("int8");
  result.mutable_engine()->add_islands("aten::softmax");
  auto* layer = result.mutable_report()->add_layers();
  layer->set_name("conv1");
  layer->set_op("Conv2d");
  layer->set_reason("odd shape");
  const std::string text = QuantizeText(result, true);
  EXPECT_THAT(text, HasSubstr("not published"));
  EXPECT_THAT(text, HasSubstr("gate refused: 0.5 is too low"));
  EXPECT_THAT(text, HasSubstr("0 of 1 layers in INT8"));
  EXPECT_THAT(text, HasSubstr("left to LibTorch: aten::softmax"));
  EXPECT_THAT(text, HasSubstr("odd shape"));
}

TEST(ReportTest, TellsWhyAVariantIsNotServed) {
  v1::GetStatusResponse status;
  auto* variant = status.add_models()->add_variants();
  variant->set_name("int8");
  variant->set_unavailable_reason("the gate refused");
  EXPECT_THAT(StatusText(status),
              HasSubstr("int8 is not served: the gate refused"));
}

}  // namespace
}  // namespace quantserve
