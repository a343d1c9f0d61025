// A hundred swaps that eight clients don't notice, and what they leave behind:
// nothing, seen from outside the real server. And the same with a leak planted
// in a server of this process, so that "nothing" means something.
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/rpc/config.h"
#include "server/rpc/flags.h"
#include "server/rpc/quant_server.h"
#include "tests/e2e/server_process.h"
#include "tests/e2e/swap_load.h"

namespace quantserve {
namespace {

using ::testing::IsEmpty;
using testing::Quick;
using testing::ServerProcess;
using testing::SwapLoad;
using testing::SwapResult;
using testing::TestModel;

void ExpectUnnoticed(const SwapResult& result, const SwapLoad& load) {
  EXPECT_THAT(result.failures, IsEmpty());
  EXPECT_EQ(result.stale, 0);
  EXPECT_EQ(result.resident.size(), static_cast<size_t>(load.swaps));
  EXPECT_GE(result.answers, load.swaps * load.clients);
}

struct Case {
  const TestModel& (*model)();
  const char* engine;
  int swaps;
};

class SwapTest : public ::testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(
    Models, SwapTest,
    ::testing::Values(Case{testing::SmallModel, "torchscript", 100},
                      Case{testing::Resnet20, "onednn", 40}),
    [](const auto& info) { return info.index == 0 ? "Small" : "Resnet20"; });

TEST_P(SwapTest, EightClientsNoticeNothingOfManySwaps) {
  const TestModel model = Quick(GetParam().model());
  if (model.name.empty()) GTEST_SKIP() << "no shared folder with models";
  ServerProcess server(
      model, {std::string("--engine=") + GetParam().engine,
              "--artifact_dir=" + testing::TempPath("swap.artifacts")});
  server.AwaitReady();
  SwapLoad load;
  load.target = server.target();
  load.metrics_port = server.metrics_port();
  load.model = &model;
  load.swaps = GetParam().swaps * testing::SoakFactor();
  const SwapResult result = SwapUnderLoad(load);
  ExpectUnnoticed(result, load);
  EXPECT_EQ(result.live, 1);
  EXPECT_GT(result.generation_bytes, 1e5);
  EXPECT_FALSE(result.leak().leaks) << result.leak().text;
  std::printf("%lld answers; %s\n", static_cast<long long>(result.answers),
              result.leak().text.c_str());
}

// The product has no switch that leaks: the test holds on to what the registry
// lets go.
TEST(PlantedLeakTest, BothDetectorsFindEveryGenerationThatIsHeldOnTo) {
  const TestModel model = Quick(testing::SmallModel());
  v1::ServerConfig config;
  config.set_model(model.model);
  config.set_calibration_shard(model.calibration);
  config.set_test_shard(model.test);
  config.add_mean(0.5);
  config.add_std(0.25);
  config.set_max_accuracy_drop(1);
  config.set_engine("onednn");
  config.set_samples(32);
  config.set_range_method("minmax");
  config.set_bias_correction("none");
  config.set_equalize("off");
  config.set_cache_dir(testing::TempPath("leak.cache"));
  config.set_artifact_dir(testing::TempPath("leak.artifacts"));
  config.set_port(0);
  config.set_metrics_port(0);
  auto options = ToServerOptions(config);
  ASSERT_TRUE(options.ok()) << options.status();
  auto parts = LoadParts(&*options);
  ASSERT_TRUE(parts.ok()) << parts.status();
  auto server = QuantServer::Listen(*options, *std::move(parts));
  ASSERT_TRUE(server.ok()) << server.status();
  const absl::Status started = (*server)->StartUp();
  ASSERT_TRUE(started.ok()) << started;
  const VariantRegistry& registry = (*server)->models().all()[0]->registry();

  constexpr int kSwaps = 24;
  SwapLoad load;
  load.target = "127.0.0.1:" + std::to_string((*server)->port());
  load.metrics_port = (*server)->metrics_port();
  load.model = &model;
  load.swaps = kSwaps;
  const SwapResult sound = SwapUnderLoad(load);
  ExpectUnnoticed(sound, load);
  EXPECT_EQ(sound.live, 1);
  EXPECT_FALSE(sound.leak().leaks) << sound.leak().text;

  std::vector<VariantRegistry::Snapshot> held;
  load.after_swap = [&] { held.push_back(registry.Get(VariantId::kInt8)); };
  const SwapResult leaking = SwapUnderLoad(load);
  ExpectUnnoticed(leaking, load);
  EXPECT_EQ(leaking.live, kSwaps);
  EXPECT_TRUE(leaking.leak().leaks) << leaking.leak().text;
  std::printf("sound: %s\nleaking: %s\n", sound.leak().text.c_str(),
              leaking.leak().text.c_str());
  held.clear();
}

}  // namespace
}  // namespace quantserve
