#include "quant/demo/train.h"

#include <unistd.h>

#include <filesystem>
#include <vector>

#include "gtest/gtest.h"
#include "quant/demo/demo_model.h"
#include "quant/demo/images.h"
#include "quant/demo/network.h"

namespace quantserve {
namespace {

Preprocessing DemoPreprocessing() {
  Preprocessing preprocessing;
  preprocessing.mean = {kDemoMean};
  preprocessing.std = {kDemoStd};
  return preprocessing;
}

torch::jit::Module Trained(int64_t samples, std::vector<double>* losses) {
  at::manual_seed(5);
  torch::jit::Module network = MakeDemoNetwork(kDemoClasses);
  TrainOptions options;
  options.samples = samples;
  options.batch = 32;
  TrainDemoNetwork(
      options, DemoPreprocessing(),
      [&](const TrainProgress& p) { losses->push_back(p.loss); }, &network);
  return network;
}

TEST(DemoNetworkTest, MapsImagesToLogits) {
  torch::jit::Module network = MakeDemoNetwork(10);
  network.eval();
  const at::Tensor out =
      network.forward({at::zeros({3, 3, 32, 32})}).toTensor();
  EXPECT_EQ(out.sizes(), (std::vector<int64_t>{3, 10}));
}

TEST(DemoNetworkTest, ModeDecidesHowBatchesAreNormalised) {
  at::manual_seed(1);
  torch::jit::Module network = MakeDemoNetwork(10);
  const at::Tensor x = at::randn({4, 3, 32, 32});
  network.eval();
  const at::Tensor whole = network.forward({x}).toTensor();
  const at::Tensor part = network.forward({x.narrow(0, 0, 1)}).toTensor();
  EXPECT_TRUE(at::allclose(whole.narrow(0, 0, 1), part, 1e-3, 1e-4));
  network.train();
  const at::Tensor training = network.forward({x}).toTensor();
  EXPECT_FALSE(at::allclose(training, whole, 1e-3, 1e-4));
}

TEST(TrainDemoNetworkTest, LowersTheLossAndRepeatsItself) {
  std::vector<double> first, second;
  const torch::jit::Module a = Trained(32 * 60, &first);
  const torch::jit::Module b = Trained(32 * 60, &second);
  ASSERT_EQ(first.size(), 60u);
  EXPECT_LT(first.back(), 2.27);  // chance is ln(10) = 2.303
  EXPECT_EQ(first, second);
  auto pa = a.parameters().begin();
  for (const at::Tensor& parameter : b.parameters()) {
    EXPECT_TRUE(at::equal(*pa, parameter));
    ++pa;
  }
  EXPECT_FALSE(a.is_training());
}

TEST(DemoModelTest, IsSavedAndMeasuredFromItsFiles) {
  namespace fs = std::filesystem;
  const fs::path directory =
      fs::path(testing::TempDir()) / ("train_test_" + std::to_string(getpid()));
  fs::create_directories(directory);
  ASSERT_TRUE(WriteDemoShards(directory.string(), 1).ok());
  const std::string model = (directory / kDemoModelFile).string();
  DemoOptions options;
  options.epochs = 1;
  options.train_samples = 64;
  ASSERT_TRUE(TrainDemoModel(options, nullptr, model).ok());
  const auto accuracy =
      MeasureDemoModel(model, (directory / kDemoTestFile).string());
  ASSERT_TRUE(accuracy.ok()) << accuracy.status();
  EXPECT_GE(*accuracy, 0.0);
  EXPECT_LT(*accuracy, 0.5);
  // Neither file may be something else.
  EXPECT_FALSE(MeasureDemoModel(model, model).ok());
  const auto foreign = MeasureDemoModel((directory / kDemoTestFile).string(),
                                        (directory / kDemoTestFile).string());
  EXPECT_FALSE(foreign.ok());
  EXPECT_EQ(foreign.status().message().find('\n'), absl::string_view::npos);
  fs::remove_all(directory);
}

}  // namespace
}  // namespace quantserve
