// The architectures that people bring (tests/models/export_zoo.py): each must
// load, quantize, run on both engines and come close to FP32.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "quant/eval/evaluate.h"
#include "quant/pipeline/pipeline.h"
#include "quant/torch/torch.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string ZooDirectory() {
  const char* set = std::getenv("QUANTSERVE_ZOO_DIR");
  return set != nullptr ? set : QUANTSERVE_BIN_DIR "/../zoo";
}

struct ZooCase {
  std::string name, file;
  bool trained = false;
};

std::vector<ZooCase> Cases() {
  std::ifstream in(ZooDirectory() + "/zoo.json");
  std::vector<ZooCase> cases;
  if (!in) return cases;
  for (const json& entry : json::parse(in)) {
    for (const json& file : entry.at("files")) {
      cases.push_back({entry.at("name"), file, entry.at("trained")});
    }
  }
  return cases;
}

class ZooTest : public ::testing::TestWithParam<ZooCase> {
 protected:
  void SetUp() override { ConfigureThread(1); }
};

TEST_P(ZooTest, RunsOnBothEnginesAndComesCloseToFp32) {
  const ZooCase& zoo = GetParam();
  const std::string folder = ZooDirectory() + "/";
  const auto shard = ReadShard(folder + zoo.name + ".npz", {});
  ASSERT_TRUE(shard.ok()) << shard.status();
  ModelOptions options;
  options.path = folder + zoo.file;
  options.inputs = shard->input_specs();
  options.engine.ladder = {1, 8};
  EvaluateOptions evaluate;
  evaluate.batch = 8;
  std::optional<Evaluation> baseline;
  std::string line = absl::StrCat("ZOO ", zoo.file, ":");
  for (const EngineChoice engine :
       {EngineChoice::kTorchScript, EngineChoice::kOneDnn}) {
    options.engine_choice = engine;
    absl::Time start = absl::Now();
    const auto pipeline = OpenModel(options);
    ASSERT_TRUE(pipeline.ok()) << pipeline.status();
    if (!baseline) {
      auto fp32 = (*pipeline)->CompileFloat({});
      ASSERT_TRUE(fp32.ok()) << fp32.status();
      auto run = Evaluate(*fp32->engine, *shard, {}, evaluate, {});
      ASSERT_TRUE(run.ok()) << run.status();
      baseline = *std::move(run);
    }
    auto int8 = (*pipeline)->Quantize({}, *shard, {});
    ASSERT_TRUE(int8.ok()) << int8.status();
    const auto run = Evaluate(*int8->variant.engine, *shard, {}, evaluate, {});
    ASSERT_TRUE(run.ok()) << run.status();
    const auto comparison = Compare(*baseline, *run);
    ASSERT_TRUE(comparison.ok());
    EXPECT_GE(comparison->sqnr_db, 20) << EngineChoiceName(engine);
    if (zoo.trained) {
      EXPECT_GE(comparison->agreement, 0.97);
    }
    absl::StrAppend(
        &line, " ", EngineChoiceName(engine), " ",
        absl::StrFormat("%.1f dB agree %.3f %.1f s", comparison->sqnr_db,
                        comparison->agreement,
                        absl::ToDoubleSeconds(absl::Now() - start)));
    if (engine == EngineChoice::kOneDnn) {
      std::map<std::string, int> islands;
      for (const LayerReport& layer : int8->report.layers) {
        if (!layer.quantized) ++islands[layer.op + "(" + layer.reason + ")"];
      }
      absl::StrAppend(&line, " FP32:");
      for (const auto& [op, n] : islands) {
        absl::StrAppend(&line, " ", n, "x", op);
      }
      absl::StrAppend(&line, " notes: ",
                      absl::StrJoin(int8->variant.engine->info().notes, "; ")
                          .substr(0, 400));
    }
  }
  std::puts(line.c_str());
}

INSTANTIATE_TEST_SUITE_P(All, ZooTest, ::testing::ValuesIn(Cases()),
                         [](const auto& info) {
                           std::string name = info.param.file;
                           for (char& c : name) {
                             if (c == '.') c = '_';
                           }
                           return name;
                         });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ZooTest);

}  // namespace
}  // namespace quantserve
