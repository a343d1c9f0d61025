// What `make demo` promises: the generated model is worth quantizing, and
// quantizing it costs next to nothing.
#include <unistd.h>

#include <filesystem>

#include "gtest/gtest.h"
#include "quant/demo/demo_files.h"
#include "quant/demo/demo_model.h"
#include "quant/eval/gate.h"
#include "quant/pipeline/pipeline.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;

TEST(DemoQuantizationTest, Int8LosesAtMostOnePoint) {
  const fs::path directory = fs::path(testing::TempDir()) /
                             ("demo_quantization_" + std::to_string(getpid()));
  fs::create_directories(directory);
  const auto in = [&](const char* file) { return (directory / file).string(); };
  // A quarter of the default training is enough to be far above chance.
  DemoOptions demo;
  demo.epochs = 1;
  ASSERT_TRUE(WriteDemoShards(directory.string(), demo.seed).ok());
  ASSERT_TRUE(TrainDemoModel(demo, nullptr, in(kDemoModelFile)).ok());

  ModelOptions options;
  options.path = in(kDemoModelFile);
  options.inputs = {{{3, 32, 32}}};
  options.preprocessing.mean = {kDemoMean};
  options.preprocessing.std = {kDemoStd};
  options.engine.ladder = {1, 8};
  ConfigureThread(1);
  const auto pipeline = OpenModel(options);
  ASSERT_TRUE(pipeline.ok()) << pipeline.status();
  const auto calibration = ReadShard(in(kDemoCalibrationFile), {});
  const auto test = ReadShard(in(kDemoTestFile), {});
  ASSERT_TRUE(calibration.ok() && test.ok());
  const auto fp32 = (*pipeline)->CompileFloat({});
  ASSERT_TRUE(fp32.ok()) << fp32.status();
  const auto int8 = (*pipeline)->Quantize({}, *calibration, {});
  ASSERT_TRUE(int8.ok()) << int8.status();
  for (const LayerReport& layer : int8->report.layers) {
    EXPECT_TRUE(layer.quantized) << layer.name << ": " << layer.reason;
  }

  EvaluateOptions evaluate;
  evaluate.batch = 8;
  const auto run = [&](const Engine& engine) {
    return Evaluate(engine, *test, options.preprocessing, evaluate, {});
  };
  const auto a = run(*fp32->engine), b = run(*int8->variant.engine);
  ASSERT_TRUE(a.ok()) << a.status();
  ASSERT_TRUE(b.ok()) << b.status();
  const auto comparison = Compare(*a, *b);
  ASSERT_TRUE(comparison.ok());
  EXPECT_GT(*a->accuracy, 0.6);
  const GateDecision decision = DecideGate({}, *a, *b, *comparison);
  EXPECT_TRUE(decision.passed) << decision.reason;
  EXPECT_GT(comparison->sqnr_db, 25);
  fs::remove_all(directory);
}

}  // namespace
}  // namespace quantserve
