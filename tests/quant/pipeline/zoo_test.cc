// The architectures that people bring (tests/models/export_zoo.py), traced and
// scripted: each must load, quantize, come close to FP32 and run on both
// engines (one of its files does; the other one on oneDNN). QUANTSERVE_ZOO_DIR
// in the environment names another folder of models.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "quant/eval/evaluate.h"
#include "quant/pipeline/pipeline.h"

namespace quantserve {
namespace {

using nlohmann::json;

std::string ZooDirectory() {
  const char* set = std::getenv("QUANTSERVE_ZOO_DIR");
  return absl::StrCat(set != nullptr ? set : QUANTSERVE_ZOO_DIR, "/");
}

struct ZooCase {
  std::string name, file, sample_shape;
  bool trained = false;
  bool second_form = false;  // the model's other file is tried on all engines
};

void PrintTo(const ZooCase& zoo, std::ostream* out) { *out << zoo.file; }

std::vector<ZooCase> Cases() {
  std::ifstream in(ZooDirectory() + "zoo.json");
  std::vector<ZooCase> cases;
  if (!in) return cases;
  for (const json& entry : json::parse(in)) {
    for (const json& file : entry.at("files")) {
      cases.push_back({entry.at("name"), file, entry.at("sample_shape"),
                       entry.at("trained"), file != entry.at("files").back()});
    }
  }
  return cases;
}

// "12 Conv2d, 2 aten::softmax (operator has no 8-bit form)".
std::string Floats(const QuantizationReport& report) {
  std::map<std::string, int> count;
  for (const LayerReport& layer : report.layers) {
    if (layer.quantized) continue;
    EXPECT_NE(layer.reason, "") << layer.name;
    ++count[absl::StrCat(layer.op, " (", layer.reason, ")")];
  }
  std::string text;
  for (const auto& [what, n] : count) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", n, " ", what);
  }
  return text.empty() ? "nothing" : text;
}

class ZooTest : public ::testing::TestWithParam<ZooCase> {
 protected:
  void SetUp() override { ConfigureThread(1); }
};

TEST_P(ZooTest, RunsOnBothEnginesAndComesCloseToFp32) {
  const ZooCase& zoo = GetParam();
  const auto shard = ReadShard(ZooDirectory() + zoo.name + ".npz", {});
  ASSERT_TRUE(shard.ok()) << shard.status();
  EXPECT_EQ(InputSpecsString(shard->input_specs()), zoo.sample_shape);
  ModelOptions options;
  options.path = ZooDirectory() + zoo.file;
  options.inputs = shard->input_specs();
  options.engine.ladder = {1};
  const EvaluateOptions evaluate;
  QuantizeOptions quantize;
  quantize.samples = 64;
  std::optional<Evaluation> baseline;
  // What differs between the two forms of a file is the import.
  std::vector<EngineChoice> engines = {EngineChoice::kOneDnn};
  if (!zoo.second_form) engines.push_back(EngineChoice::kTorchScript);
  for (const EngineChoice engine : engines) {
    SCOPED_TRACE(EngineChoiceName(engine));
    options.engine_choice = engine;
    const auto pipeline = OpenModel(options);
    ASSERT_TRUE(pipeline.ok()) << pipeline.status();
    if (!baseline) {  // the file as it is, run by LibTorch
      const auto fp32 = (*pipeline)->CompileFloat({});
      ASSERT_TRUE(fp32.ok()) << fp32.status();
      auto run = Evaluate(*fp32->engine, *shard, {}, evaluate, {});
      ASSERT_TRUE(run.ok()) << run.status();
      baseline = *std::move(run);
    }
    const auto int8 = (*pipeline)->Quantize(quantize, *shard, {});
    ASSERT_TRUE(int8.ok()) << int8.status();
    EXPECT_EQ(int8->variant.engine->info().engine, EngineChoiceName(engine));
    const auto run = Evaluate(*int8->variant.engine, *shard, {}, evaluate, {});
    ASSERT_TRUE(run.ok()) << run.status();
    const auto comparison = Compare(*baseline, *run);
    ASSERT_TRUE(comparison.ok());
    EXPECT_GE(comparison->sqnr_db, 20);
    if (zoo.trained) {
      EXPECT_GE(comparison->agreement, 0.97);
    }
    EXPECT_GT(int8->report.int8_macs_share, 0.5);
    std::puts(absl::StrFormat("%-30s %-11s SQNR %5.1f dB  agreement %.3f  "
                              "INT8 share %.3f  FP32: %s",
                              zoo.file, EngineChoiceName(engine),
                              comparison->sqnr_db, comparison->agreement,
                              int8->report.int8_macs_share,
                              Floats(int8->report))
                  .c_str());
  }
}

INSTANTIATE_TEST_SUITE_P(Zoo, ZooTest, ::testing::ValuesIn(Cases()),
                         [](const auto& info) {
                           std::string name = info.param.file;
                           for (char& c : name) {
                             if (c == '.') c = '_';
                           }
                           return name;
                         });

// Without the files nothing above runs, which must not look like a success.
TEST(ZooFilesTest, AreThere) {
  EXPECT_GE(Cases().size(), 50)
      << "export_zoo.py writes them to " << ZooDirectory();
}

}  // namespace
}  // namespace quantserve
