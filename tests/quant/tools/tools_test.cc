// The command-line tools as people run them: the real binaries.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "quant/base/cpu.h"
#include "quant/eval/evaluate.h"
#include "quant/pipeline/pipeline.h"
#include "quant/torch/torch.h"
#include "tests/quant/data/writers.h"
#include "tests/testing/script_model.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct Result {
  int code = -1;
  std::string out;
  std::string err;
};

class ToolsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/quantserve_tools_XXXXXX";
    directory_ = mkdtemp(name);
    testing::ScriptModel model;
    model.Conv("c", 8, 3, 3)
        .Linear("f", 10, 8)
        .Forward(
            "x = torch.relu(self.c_apply(x, 2, 1))\n"
            "return self.f_apply(x.mean([2, 3]))");
    model.Save(Path("model.pt"));
    WriteShard("shard.bin", 40);
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::string Path(const std::string& name) const {
    return absl::StrCat(directory_, "/", name);
  }
  void Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name), std::ios::binary) << bytes;
  }
  // CIFAR-10 records with labels 0 to 9.
  void WriteShard(const std::string& name, int samples) const {
    std::string bytes;
    for (int i = 0; i < samples; ++i) {
      bytes.push_back(static_cast<char>(i % 10));
      for (int p = 0; p < 3072; ++p) {
        bytes.push_back(static_cast<char>((i * 31 + p * 7) % 256));
      }
    }
    Write(name, bytes);
  }
  static std::string Slurp(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  Result Run(const std::string& command) const {
    const std::string line =
        absl::StrCat("timeout 120 ", command, " >", Path("out"), " 2>",
                     Path("err"), " </dev/null");
    const int status = std::system(line.c_str());
    return {WEXITSTATUS(status), Slurp(Path("out")), Slurp(Path("err"))};
  }
  Result Tool(const std::string& arguments) const {
    return Run(absl::StrCat(QUANTSERVE_BIN_DIR, "/", arguments));
  }
  Result Quantize(const std::string& model, const std::string& shard,
                  const std::string& more = "") const {
    return Tool(absl::StrCat("quantize_model --model_path ", Path(model),
                             " --calibration_data ", Path(shard), " --output ",
                             Path("int8.pt"), " ", more));
  }
  Result Evaluate(const std::string& more) const {
    return Tool(absl::StrCat("evaluate_model --model_path ", Path("model.pt"),
                             " --test_data ", Path("shard.bin"), " ", more));
  }

  std::string directory_;
};

TEST_F(ToolsTest, HelpIsAUsagePageOnStandardOutput) {
  for (const char* tool : {"quantize_model", "evaluate_model"}) {
    const Result r = Tool(absl::StrCat(tool, " --help"));
    EXPECT_EQ(r.code, 0);
    EXPECT_THAT(r.out, AllOf(HasSubstr("Usage:"), HasSubstr("--model_path"),
                             HasSubstr("Exit codes")));
    EXPECT_EQ(r.err, "");
  }
}

TEST_F(ToolsTest, QuantizesAndEvaluates) {
  const Result q = Quantize("model.pt", "shard.bin", "--samples=32 --verbose");
  ASSERT_EQ(q.code, 0) << q.err;
  EXPECT_THAT(q.out,
              HasSubstr("4 of 4 layers are INT8 (mse, 32 samples), 100.0 % of "
                        "the multiply-accumulates\n"));
  EXPECT_THAT(q.out, HasSubstr("note: calibrated on 32 samples of shard"));
  const Result e =
      Evaluate(absl::StrCat("--int8_path ", Path("int8.pt"), " --format json"));
  ASSERT_EQ(e.code, 0) << e.err;
  const auto json = nlohmann::json::parse(e.out);
  std::vector<std::string> names;
  for (const auto& row : json.at("rows")) {
    names.push_back(row.at("name"));
    EXPECT_TRUE(row.contains("accuracy") && row.contains("latency_ms") &&
                row.contains("speedup"))
        << row;
  }
  EXPECT_THAT(names,
              ::testing::IsSupersetOf({"FP32 CPU", "FP32 CPU optimised",
                                       "FP32 CUDA", "INT8 CPU", "INT8 JIT CPU",
                                       "FP32 CPU oneDNN", "INT8 CPU oneDNN"}));
  EXPECT_EQ(json.at("rows")[0].at("speedup"), 1.0);
  EXPECT_EQ(json.at("samples"), 40);
  EXPECT_EQ(json.at("threads"), 1);
  EXPECT_GT(json.at("agreement"), 0.8);
  EXPECT_GT(json.at("sqnr_db"), 15);
}

// Pictures of different sizes, in a folder for each class.
TEST_F(ToolsTest, WritesAReportThatTellsLayersApart) {
  const Result page =
      Quantize("model.pt", "shard.bin",
               absl::StrCat("--samples=32 --report=", Path("report.html")));
  ASSERT_EQ(page.code, 0) << page.err;
  EXPECT_THAT(Slurp(Path("report.html")),
              AllOf(HasSubstr("<!DOCTYPE html>"), HasSubstr("<svg")));
  const Result r =
      Quantize("model.pt", "shard.bin",
               absl::StrCat("--samples=32 --report=", Path("report.json")));
  ASSERT_EQ(r.code, 0) << r.err;
  const auto report = nlohmann::json::parse(Slurp(Path("report.json")));
  EXPECT_EQ(report.at("variants").size(), 2);
  int timed = 0;
  for (const auto& layer : report.at("quantization").at("layers")) {
    EXPECT_TRUE(layer.at("local_sqnr_db").is_number()) << layer;
    EXPECT_TRUE(layer.at("cumulative_sqnr_db").is_number()) << layer;
    EXPECT_TRUE(layer.at("activation").at("range").is_object()) << layer;
    timed += layer.at("int8_time_us").is_number() &&
                     layer.at("fp32_time_us").is_number()
                 ? 1
                 : 0;
  }
  EXPECT_GE(timed, 2);
  EXPECT_EQ(report.at("quantization").at("digest").get<std::string>().size(),
            64);
}

// CIFAR-10's labels beside a model of four outputs.
TEST_F(ToolsTest, LabelsOfAnotherModelAreLeftOutWithANote) {
  testing::ScriptModel model;
  model.Conv("c", 4, 3, 3).Forward("return self.c_apply(x, 2, 1).mean([2, 3])");
  model.Save(Path("four.pt"));
  const Result r = Quantize("four.pt", "shard.bin",
                            absl::StrCat("--report=", Path("report.json")));
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("note: labels are not used: sample "));
  const auto report = nlohmann::json::parse(Slurp(Path("report.json")));
  EXPECT_TRUE(report.at("variants")[1].at("accuracy").is_null());
  EXPECT_TRUE(report.at("variants")[1].at("agreement").is_number());
}

TEST_F(ToolsTest, ReadsImageFoldersAndDrawsFromThem) {
  for (int i = 0; i < 30; ++i) {
    const std::string folder = Path(absl::StrCat("images/", i % 10));
    fs::create_directories(folder);
    std::ofstream(absl::StrCat(folder, "/", i, i % 2 == 0 ? ".png" : ".jpg"),
                  std::ios::binary)
        << (i % 2 == 0 ? PngFile(40 + i, 50) : JpegFile(50, 40 + i));
  }
  const std::string images =
      "--resize=24 --crop=20 --interpolation=bicubic --max_samples=12 ";
  const Result q = Quantize("model.pt", "images", images);
  ASSERT_EQ(q.code, 0) << q.err;
  EXPECT_THAT(q.out, HasSubstr("12 samples"));
  EXPECT_THAT(q.err, HasSubstr("read ..."));
  const Result e = Tool(
      absl::StrCat("evaluate_model --model_path ", Path("model.pt"),
                   " --test_data ", Path("images"), " --format json ", images));
  ASSERT_EQ(e.code, 0) << e.err;
  EXPECT_EQ(nlohmann::json::parse(e.out).at("samples"), 12);
  const Result uneven = Quantize("model.pt", "images", "--resize=24");
  EXPECT_EQ(uneven.code, 1);
  EXPECT_THAT(uneven.err, HasSubstr("a crop makes sizes equal"));
}

// The system kills a process that writes more than it may: here in the middle
// of the model.
TEST_F(ToolsTest, BeingKilledWhileSavingLeavesTheOldFileWhole) {
  ASSERT_EQ(Quantize("model.pt", "shard.bin", "--samples=8").code, 0);
  const std::string before = Slurp(Path("int8.pt"));
  ASSERT_GT(before.size(), 4096u);
  const std::string again = absl::StrCat(
      QUANTSERVE_BIN_DIR, "/quantize_model --samples=16 --model_path ",
      Path("model.pt"), " --calibration_data ", Path("shard.bin"), " --output ",
      Path("int8.pt"));
  const Result killed =
      Run(absl::StrCat("sh -c 'ulimit -f 4; exec ", again, "'"));
  EXPECT_NE(killed.code, 0);
  EXPECT_THAT(killed.err, HasSubstr("save"));  // it came as far as that
  EXPECT_EQ(Slurp(Path("int8.pt")), before);

  const Result whole = Run(again);
  EXPECT_EQ(whole.code, 0) << whole.err;
  EXPECT_NE(Slurp(Path("int8.pt")), before);
  EXPECT_FALSE(fs::exists(Path("int8.pt.partial")));
  EXPECT_EQ(Evaluate("--int8_path " + Path("int8.pt")).code, 0);
}

// The line that starts with `word`.
std::string Line(const std::string& text, const std::string& word) {
  const size_t at = text.find("\n" + word) + 1;
  return text.substr(at, text.find('\n', at) - at);
}

// LibTorch's own writing of files ended the process then. A limit that is not
// deadly fails a write as a full disk does.
TEST_F(ToolsTest, AFullDiskIsOneLine) {
  const std::string quantize = absl::StrCat(
      QUANTSERVE_BIN_DIR, "/quantize_model --model_path ", Path("model.pt"),
      " --calibration_data ", Path("shard.bin"), " --output ", Path("full.pt"));
  const Result full = Run(absl::StrCat(
      "bash -c 'trap \"\" XFSZ; ulimit -f 4; exec ", quantize, "'"));
  EXPECT_EQ(full.code, 1);
  EXPECT_THAT(full.err, HasSubstr("cannot write " + Path("full.pt")));
  EXPECT_FALSE(fs::exists(Path("full.pt")));
}

TEST_F(ToolsTest, TheSameInputsAreCalibratedOnce) {
  const std::string keep = "--artifact_dir " + Path("artifacts");
  const Result first = Quantize("model.pt", "shard.bin", keep);
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("calibrated: no artifact is kept yet\n"));
  EXPECT_THAT(first.err, HasSubstr("ranges"));
  const std::string file = Slurp(Path("int8.pt"));

  const Result second = Quantize("model.pt", "shard.bin", keep);
  EXPECT_THAT(second.out, HasSubstr("loaded from --artifact_dir"));
  EXPECT_THAT(second.err, Not(HasSubstr("ranges")));
  const std::string recipe = Line(first.out, "recipe ");
  EXPECT_EQ(recipe.size(), 7u + 64u);
  EXPECT_EQ(Line(second.out, "recipe "), recipe);
  EXPECT_EQ(Line(second.out, "4 layers"), Line(first.out, "4 layers"));
  EXPECT_EQ(Slurp(Path("int8.pt")), file);
  EXPECT_EQ(Evaluate("--int8_path " + Path("int8.pt")).code, 0);

  // A process that calibrates again comes to the same.
  const Result again = Quantize("model.pt", "shard.bin", keep + " --force");
  EXPECT_THAT(again.out, HasSubstr("calibrated: it was asked for anew\n"));
  EXPECT_EQ(Line(again.out, "recipe "), recipe);

  const Result less = Quantize("model.pt", "shard.bin", keep + " --samples=8");
  EXPECT_THAT(less.out,
              HasSubstr("calibrated: calibration.samples is 8, was 512\n"));
  EXPECT_NE(Line(less.out, "recipe "), recipe);
}

TEST_F(ToolsTest, AnotherProcessorCalibratesAnew) {
  if (!Cpu().avx512) GTEST_SKIP() << "needs a processor that can be limited";
  const std::string quantize = absl::StrCat(
      QUANTSERVE_BIN_DIR, "/quantize_model --model_path ", Path("model.pt"),
      " --calibration_data ", Path("shard.bin"), " --output ", Path("int8.pt"),
      " --artifact_dir ", Path("artifacts"));
  ASSERT_EQ(Run("env ONEDNN_MAX_CPU_ISA=AVX2 " + quantize).code, 0);
  const Result here = Run(quantize);
  EXPECT_THAT(here.out, HasSubstr("calibrated: cpu."));
  EXPECT_THAT(here.out, HasSubstr("cpu.avx512 is yes, was no"));
  EXPECT_THAT(Run(quantize).out, HasSubstr("loaded from --artifact_dir"));
}

TEST_F(ToolsTest, CudaRowSaysWhyItIsEmpty) {
  if (LibTorchHasCuda()) GTEST_SKIP() << "this LibTorch has CUDA";
  const Result e = Evaluate("");
  ASSERT_EQ(e.code, 0) << e.err;
  EXPECT_THAT(e.out,
              HasSubstr("FP32 CUDA            this LibTorch has no CUDA"));
}

// The same numbers in Python as here: the file stands for the engine's plan.
TEST_F(ToolsTest, SavedFileGivesTheSameOutputsInPyTorch) {
  const std::string model =
      absl::StrCat(QUANTSERVE_SHARED_DIR, "/models/resnet20_cifar10.pt");
  const std::string shard =
      absl::StrCat(QUANTSERVE_SHARED_DIR, "/data/cifar10_calibration.bin");
  if (!fs::exists(model)) {
    GTEST_SKIP() << "no real models at " << QUANTSERVE_SHARED_DIR;
  }
  constexpr int kSamples = 32;
  ModelOptions options;
  options.path = model;
  options.inputs = {{{3, 32, 32}}};
  options.preprocessing.mean = {0.485, 0.456, 0.406};
  options.preprocessing.std = {0.229, 0.224, 0.225};
  options.engine.ladder = {1};
  options.engine_choice = EngineChoice::kTorchScript;
  ConfigureThread(1);
  const auto pipeline = OpenModel(options);
  ASSERT_TRUE(pipeline.ok()) << pipeline.status();
  const auto data = ReadShard(shard, {});
  ASSERT_TRUE(data.ok()) << data.status();
  const auto int8 = (*pipeline)->Quantize({}, *data, {});
  ASSERT_TRUE(int8.ok()) << int8.status();
  ASSERT_TRUE(int8->save(Path("int8.pt")).ok());
  EvaluateOptions evaluate;
  evaluate.samples = kSamples;
  const auto want = quantserve::Evaluate(*int8->variant.engine, *data,
                                         options.preprocessing, evaluate, {});
  ASSERT_TRUE(want.ok()) << want.status();

  const Result r = Run(absl::StrCat(
      "/usr/bin/python3 ", QUANTSERVE_SOURCE_DIR,
      "/tests/quant/tools/torchscript_outputs.py ", Path("int8.pt"), " ", shard,
      " ", kSamples, " ", Path("outputs.f32")));
  ASSERT_EQ(r.code, 0) << r.out << r.err;
  const std::string bytes = Slurp(Path("outputs.f32"));
  ASSERT_EQ(bytes.size(), want->outputs.size() * sizeof(float));
  std::vector<float> got(want->outputs.size());
  std::memcpy(got.data(), bytes.data(), bytes.size());
  int different = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    different += got[i] != want->outputs[i] ? 1 : 0;
  }
  // Preprocessing rounds differently in the last bit, which can move a pixel
  // that lies on the edge of a step.
  EXPECT_LE(different, kSamples);
}

// The best found is written all the same, and the exit code says that it is not
// enough.
TEST_F(ToolsTest, BudgetThatCannotBeReachedIsSaidInPlainWords) {
  const Result r = Tool(absl::StrCat(
      "quantize_model --model_path ", Path("model.pt"), " --calibration_data ",
      Path("shard.bin"), " --output ", Path("o.pt"), " --min_sqnr_db=300"));
  EXPECT_EQ(r.code, 1) << r.err;
  EXPECT_THAT(r.err, AllOf(HasSubstr("budget not reachable"),
                           HasSubstr("SQNR at least 300.0 dB")));
  EXPECT_THAT(r.out, HasSubstr("not reachable"));
  EXPECT_TRUE(fs::exists(Path("o.pt")));
}

struct BadInput {
  std::string name;
  std::string arguments;  // $ is the directory
  int code;
  std::vector<std::string> says;
};

TEST_F(ToolsTest, BadInputGivesOneClearLine) {
  Write("empty", "");
  Write("foreign.pt", "this is no model");
  Write("truncated.pt", Slurp(Path("model.pt")).substr(0, 3000));
  Write("truncated.bin", Slurp(Path("shard.bin")).substr(0, 5000));
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  Write("label.bin", std::string(1, '\x0b') + std::string(3072, 'x'));
  const std::string quantize =
      "quantize_model --output $/o.pt --calibration_data $/shard.bin ";
  const std::string calibrate =
      "quantize_model --output $/o.pt --model_path $/model.pt "
      "--calibration_data ";
  const std::vector<BadInput> cases = {
      {"missing model",
       quantize + "--model_path $/none.pt",
       1,
       {"none.pt", "does not exist"}},
      {"empty model", quantize + "--model_path $/empty", 1, {"empty"}},
      {"foreign model",
       quantize + "--model_path $/foreign.pt",
       1,
       {"foreign.pt", "TorchScript"}},
      {"truncated model",
       quantize + "--model_path $/truncated.pt",
       1,
       {"truncated.pt", "TorchScript"}},
      {"directory as model",
       quantize + "--model_path $",
       1,
       {"not a regular file"}},
      {"missing shard", calibrate + "$/none.bin", 1, {"none.bin"}},
      {"shard without an ending", calibrate + "$/empty", 1, {"empty"}},
      {"truncated shard",
       calibrate + "$/truncated.bin",
       1,
       {"truncated.bin", "3073"}},
      {"label out of range",
       "evaluate_model --model_path $/model.pt "
       "--test_data $/label.bin",
       1,
       {"label"}},
      {"output that cannot be written",
       "quantize_model --model_path $/model.pt --calibration_data $/shard.bin "
       "--output $/no/such/dir/o.pt",
       1,
       {"cannot write"}},
      {"bad mean", calibrate + "$/shard.bin --mean=1,2", 1, {"mean", "3"}},
      {"mean that is no number",
       calibrate + "$/shard.bin --mean=a",
       2,
       {"--mean", "\"a\""}},
      {"deviation of zero", calibrate + "$/shard.bin --std=0", 1, {"std"}},
      {"unknown interpolation",
       calibrate + "$/shard.bin --interpolation=nearest",
       2,
       {"--interpolation=nearest", "bilinear or bicubic"}},
      {"negative crop", calibrate + "$/shard.bin --crop=-1", 2, {"crop", "-1"}},
      {"memory for no sample",
       calibrate + "$/shard.bin --max_sample_bytes=100",
       1,
       {"max_sample_bytes", "3088"}},
      {"no samples", calibrate + "$/shard.bin --samples=0", 2, {"samples"}},
      {"unknown observer",
       calibrate + "$/shard.bin --observer=best",
       2,
       {"best", "mse"}},
      {"budget out of range",
       calibrate + "$/shard.bin --max_drop=2",
       2,
       {"max_drop", "0 to 1"}},
      {"speed-up of nothing",
       calibrate + "$/shard.bin --min_speedup=0",
       2,
       {"min_speedup", "above 0"}},
      {"unknown bias correction",
       calibrate + "$/shard.bin --bias_correction=magic",
       2,
       {"magic", "empirical"}},
      {"unknown equalization",
       calibrate + "$/shard.bin --equalize=maybe",
       2,
       {"maybe", "auto"}},
      {"percentile of another observer",
       calibrate + "$/shard.bin --percentile=99",
       2,
       {"--percentile=99", "--observer=mse"}},
      {"anew without what is old",
       calibrate + "$/shard.bin --force",
       2,
       {"--force", "--artifact_dir"}},
      {"resizing what is no picture",
       calibrate + "$/shard.bin --resize=32",
       2,
       {"--resize", "folder of images", "shard.bin"}},
      {"output that is a device",
       "quantize_model --model_path $/model.pt --calibration_data $/shard.bin "
       "--output $/pipe",
       1,
       {"cannot write", "pipe", "no regular file"}},
      {"layer that is not there",
       calibrate + "$/shard.bin --keep_fp32=nonsense",
       1,
       {"nonsense"}},
      {"unknown flag", "quantize_model --bogus=1", 2, {"--bogus", "--help"}},
      {"malformed flag",
       "quantize_model --samples=many",
       2,
       {"--samples", "\"many\""}},
      {"flag without its value", "quantize_model --samples", 2, {"--samples"}},
      {"positional argument", "evaluate_model model.pt", 2, {"model.pt"}},
      {"missing flags", "evaluate_model", 2, {"required"}},
      {"unknown format",
       "evaluate_model --model_path a --test_data b --format=xml",
       2,
       {"xml", "json"}},
      {"INT8 file that is none",
       "evaluate_model --model_path $/model.pt --test_data $/shard.bin "
       "--int8_path $/foreign.pt",
       1,
       {"foreign.pt"}},
  };
  for (const BadInput& bad : cases) {
    std::string arguments = bad.arguments;
    for (size_t at; (at = arguments.find('$')) != std::string::npos;) {
      arguments.replace(at, 1, directory_);
    }
    const Result r = Tool(arguments);
    EXPECT_EQ(r.code, bad.code) << bad.name << "\n" << r.err;
    // The last line is the error; lines of progress may stand before it.
    std::string err = r.err;
    while (!err.empty() && err.back() == '\n') err.pop_back();
    const std::string last = err.substr(err.rfind('\n') + 1);
    for (const std::string& words : bad.says) {
      EXPECT_THAT(last, HasSubstr(words)) << bad.name;
    }
    EXPECT_THAT(r.err, Not(HasSubstr("terminate called"))) << bad.name;
    EXPECT_FALSE(fs::exists(Path("o.pt"))) << bad.name;
  }
}

}  // namespace
}  // namespace quantserve
