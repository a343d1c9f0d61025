#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"
#include "absl/strings/str_split.h"
#include "client/quantctl/bench_report.h"
#include "client/quantctl/command.h"
#include "client/quantctl/image.h"
#include "client/quantctl/input.h"
#include "client/quantctl/load_flags.h"
#include "client/quantctl/npy.h"
#include "client/quantctl/report.h"
#include "client/quantctl/save.h"
#include "client/quantctl/table.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

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
  const v1::Tensor& tensor = (*input)->tensors[0];
  EXPECT_EQ(tensor.dtype(), v1::UINT8);
  EXPECT_THAT(tensor.shape(), ElementsAre(1, 3, 32, 32));
  EXPECT_EQ(tensor.data().size(), 3072);
  EXPECT_EQ(tensor.data()[0], 'p');
}

TEST_F(InputTest, IsARawTensorOfSeveralSamples) {
  absl::SetFlag(&FLAGS_raw, WriteFile("raw", std::string(3 * 2 * 4, '\0')));
  const auto floats = ReadInput(Model({2}));
  ASSERT_TRUE(floats.ok()) << floats.status();
  EXPECT_THAT((*floats)->tensors[0].shape(), ElementsAre(3, 2));
  absl::SetFlag(&FLAGS_dtype, "uint8");
  const auto bytes = ReadInput(Model({2}));
  EXPECT_THAT((*bytes)->tensors[0].shape(), ElementsAre(12, 2));
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

TEST(LoadFlagsTest, RatesAreOneAListOrARange) {
  EXPECT_TRUE(ParseRates("")->empty());
  EXPECT_THAT(*ParseRates("500"), ElementsAre(500));
  EXPECT_THAT(*ParseRates("500,0.5"), ElementsAre(500, 0.5));
  EXPECT_THAT(*ParseRates("500:2000:500"), ElementsAre(500, 1000, 1500, 2000));
  EXPECT_THAT(*ParseRates("0.1:0.3:0.1"), ::testing::SizeIs(3));
  EXPECT_THAT(*ParseRates("5:9:3"), ElementsAre(5, 8));
  for (const char* text : {"0", "-1", "x", "1,", "1e8", "nan", "1:2", "2:1:1",
                           "1:2:0", "1:2,3", "1:1000:0.1", "1:2:3:4"}) {
    const auto rates = ParseRates(text);
    EXPECT_TRUE(IsUsageError(rates.status())) << text;
    EXPECT_THAT(std::string(rates.status().message()),
                HasSubstr("flag --rate"));
  }
}

// One answer after 2 ms in a batch of one, and two refusals.
BenchRow SmallRow() {
  BenchRow row;
  row.variant = "int8";
  row.load.rate = 500;
  row.measured.windows = 3;
  row.measured.stable = false;
  v1::PredictResponse reply;
  reply.set_batch_size(1);
  Load& load = row.measured.load;
  load.Record(absl::Milliseconds(5), absl::Milliseconds(2), absl::OkStatus(),
              reply);
  for (int i = 0; i < 2; ++i) {
    load.Record(absl::ZeroDuration(), absl::Milliseconds(1),
                absl::UnavailableError("the queue is full"), {});
  }
  load.not_sent = 7;
  load.time = absl::Seconds(1);
  return row;
}

TEST(BenchReportTest, TheTableTellsWhatItsNumbersLeaveOut) {
  const std::string text = BenchTable({SmallRow()});
  EXPECT_THAT(text, HasSubstr("500/s poisson"));
  EXPECT_THAT(text, HasSubstr("2 UNAVAILABLE (after p50 1.00 ms, p99 1.00 ms),"
                              " the first: the queue is full"));
  EXPECT_THAT(text, HasSubstr("not stable after 3 windows"));
  EXPECT_THAT(text,
              HasSubstr("1 were sent more than 1ms late, the worst 5.00"));
  EXPECT_THAT(text, HasSubstr("7 were never sent"));
}

TEST(BenchReportTest, CsvHasTheJsonsNumbers) {
  const BenchRow row = SmallRow();
  const nlohmann::json json = BenchJson(row);
  EXPECT_EQ(json["goodput_per_second"], 1);
  EXPECT_EQ(json["throughput_per_second"], 3);
  EXPECT_EQ(json["offered_per_second"], 10);
  EXPECT_EQ(json["errors"]["UNAVAILABLE"]["count"], 2);
  EXPECT_EQ(json["batches"][0]["answers"], 1);
  const std::vector<std::string> lines =
      absl::StrSplit(BenchCsv({row, row}), '\n');
  ASSERT_EQ(lines.size(), 4);  // the last is empty
  const std::vector<std::string> names = absl::StrSplit(lines[0], ',');
  const std::vector<std::string> values = absl::StrSplit(lines[1], ',');
  ASSERT_EQ(names.size(), values.size());
  EXPECT_EQ(lines[1], lines[2]);
  for (size_t i = 0; i + 1 < names.size(); ++i) {
    const auto at = json.find(names[i]);
    if (at == json.end()) {
      EXPECT_EQ(values[i], "") << names[i];  // the closed loop's
    } else {
      EXPECT_EQ(values[i],
                at->is_string() ? at->get<std::string>() : at->dump());
    }
  }
  EXPECT_EQ(values.back(), "UNAVAILABLE:2");
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

// An .npy file: `header` padded as NumPy does, then `data`.
std::string NpyFile(std::string header, const std::string& data) {
  header.resize(117, ' ');
  header += '\n';
  return std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header + data;
}

std::string NpyHeader(const std::string& type, const std::string& shape) {
  return "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" +
         shape + "), }";
}

template <typename T>
std::string Elements(std::vector<T> values) {
  return {reinterpret_cast<const char*>(values.data()),
          values.size() * sizeof(T)};
}

TEST(NpyTest, ElementsBecomeWhatTheWireKnows) {
  const struct {
    const char* type;
    std::string data, want;
    v1::DataType dtype;
  } kCases[] = {{"<f4", Elements<float>({1, 2, 3, -4}),
                 Elements<float>({3, -4}), v1::FP32},
                {"<f8", Elements<double>({1, 2, 3, -4}),
                 Elements<float>({3, -4}), v1::FP32},
                {"|u1", Elements<uint8_t>({1, 2, 3, 255}),
                 Elements<uint8_t>({3, 255}), v1::UINT8},
                {"|i1", Elements<int8_t>({1, 2, 3, -4}),
                 Elements<int64_t>({3, -4}), v1::INT64},
                {"<u2", Elements<uint16_t>({1, 2, 3, 65535}),
                 Elements<int64_t>({3, 65535}), v1::INT64},
                {"<i4", Elements<int32_t>({1, 2, 3, -4}),
                 Elements<int64_t>({3, -4}), v1::INT64},
                {"<i8", Elements<int64_t>({1, 2, 3, -4}),
                 Elements<int64_t>({3, -4}), v1::INT64}};
  for (const auto& c : kCases) {
    const auto samples = ReadNumPyFile(
        WriteFile("types.npy", NpyFile(NpyHeader(c.type, "2, 2"), c.data)), 1);
    ASSERT_TRUE(samples.ok()) << samples.status();
    ASSERT_EQ(samples->size(), 1);
    EXPECT_EQ((*samples)[0].dtype, c.dtype) << c.type;
    EXPECT_EQ((*samples)[0].data, c.want) << c.type;
    EXPECT_THAT((*samples)[0].shape, ElementsAre(2));
  }
}

TEST(NpyTest, EveryMistakeIsNamedWithTheFile) {
  const std::string good =
      NpyFile(NpyHeader("<f4", "2, 2"), "0123456789abcdef");
  std::string long_header = good;
  long_header[6] = 2;  // then the length has four bytes
  const struct {
    std::string bytes;
    const char* message;
  } kCases[] = {
      {"", "is no .npy array"},
      {"hello, world", "is no .npy array"},
      {good.substr(0, 40), "is cut off in its header"},
      {long_header, "has a header that is too long"},
      {good.substr(0, good.size() - 9), "is cut off in sample 0"},
      {good.substr(0, good.size() - 1), "is cut off in sample 1"},
      {NpyFile(NpyHeader(">f4", "2, 2"), ""), "elements of type '>f4"},
      {NpyFile(NpyHeader("<f2", "2, 2"), ""), "elements of type '<f2"},
      {NpyFile(NpyHeader("|O", "2, 2"), ""), "elements of type '|O"},
      {NpyFile("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }",
               ""),
       "Fortran order"},
      {NpyFile("{}", ""), "elements of type"},
      {NpyFile(NpyHeader("<\n4", "2, 2"), ""), "elements of type '<\\n4'"},
      {NpyFile(NpyHeader("<f4", "9223372036854775807, 0"), ""),
       "has samples without elements"},
      {NpyFile("{'descr':", ""), "elements of type"},
      {NpyFile(NpyHeader("<f4", ""), ""), "holds no samples"},
      {NpyFile(NpyHeader("<f4", "2, x"), ""), "has a shape that is none"},
      {NpyFile(NpyHeader("<f4", "2, -2"), ""), "has a shape that is none"},
      {NpyFile(NpyHeader("<f4", "1,"), "0123"), "has 1 samples, flag --index"},
      {NpyFile(NpyHeader("<f4", "2, 4294967296, 4294967296"), ""),
       "has samples larger than"},
      {NpyFile(NpyHeader("<f4", "2, 9223372036854775807"), ""),
       "has samples larger than"},
  };
  for (const auto& c : kCases) {
    const std::string path = WriteFile("bad.npy", c.bytes);
    const auto samples = ReadNumPyFile(path, 1);
    EXPECT_EQ(samples.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(samples.status().message()), HasSubstr(path));
    EXPECT_THAT(std::string(samples.status().message()), HasSubstr(c.message));
  }
  const std::string zip = WriteFile("bad.npz", "PK but no archive");
  EXPECT_THAT(std::string(ReadNumPyFile(zip, 0).status().message()),
              HasSubstr("bad.npz is no .npz archive"));
  EXPECT_EQ(ReadNumPyFile("/no/such.npy", 0).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(SaveTest, AReportTakesItsPlaceWholeOrNotAtAll) {
  EXPECT_TRUE(CheckReportFile("a.html").ok());
  EXPECT_TRUE(CheckReportFile(::testing::TempDir() + "/a.json").ok());
  EXPECT_TRUE(IsUsageError(CheckReportFile("/no/such/dir/a.json")));
  EXPECT_TRUE(IsUsageError(CheckReportFile("a.pdf")));
  const std::string path = WriteFile("saved.html", "old");
  v1::QuantizeResult result;
  EXPECT_EQ(SaveReport(result, path).code(),
            absl::StatusCode::kFailedPrecondition);
  const auto bytes = [&path] {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  EXPECT_EQ(bytes(), "old");
  result.set_report_html("<!doctype html>");
  const absl::Status saved = SaveReport(result, path);
  EXPECT_TRUE(saved.ok()) << saved;
  EXPECT_EQ(bytes(), "<!doctype html>");
  const absl::Status nowhere = SaveReport(result, "/no/such/dir/r.html");
  EXPECT_EQ(nowhere.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(nowhere.message()),
              HasSubstr("cannot write /no/such/dir/r.html"));
}

}  // namespace
}  // namespace quantserve
