// The small parts of the core: options, hold-out, life cycle, shards.
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/core/held_out.h"
#include "server/core/lifecycle.h"
#include "server/core/server_options.h"
#include "server/core/shard_store.h"
#include "server/core/steady_clock.h"
#include "tests/testing/fake_model.h"

namespace quantserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ServerOptions GoodOptions() {
  ServerOptions options;
  options.models[0].model.path = "m.pt";
  options.models[0].model.name = "m";
  options.models[0].model.inputs = {{{3, 32, 32}}};
  options.models[0].quantization.shards = {{"a", "a.bin"}, {"b", "b.bin"}};
  options.models[0].quantization.calibration_shard = "a";
  return options;
}

TEST(ServerOptionsTest, TheDefaultsWithAModelAreValid) {
  EXPECT_TRUE(GoodOptions().Validate().ok()) << GoodOptions().Validate();
}

// The means are a picture's: of token ids beside it nothing can be said.
TEST(ServerOptionsTest, PreprocessingIsThatOfOneOfSeveralInputs) {
  ServerOptions options = GoodOptions();
  options.models[0].model.inputs = {{{16}, true}, {{3, 32, 32}}};
  options.models[0].model.preprocessing.mean = {1, 2, 3};
  EXPECT_TRUE(options.Validate().ok()) << options.Validate();
  options.models[0].model.preprocessing.std = {0};
  EXPECT_FALSE(options.Validate().ok());
}

TEST(ServerOptionsTest, EachBadSettingIsNamed) {
  struct Case {
    std::function<void(ServerOptions*)> change;
    const char* names;
  };
  const Case cases[] = {
      {[](ServerOptions* o) { o->models[0].model.path = ""; }, "no model"},
      {[](ServerOptions* o) { o->models[0].model.name = "a/b"; },
       "model_name \"a/b\""},
      {[](ServerOptions* o) {
         o->models[0].model.inputs = {{{3, 32, 32}}, {{3, 0}}};
       },
       "sample_shape is [3,0]"},
      {[](ServerOptions* o) {
         o->models[0].model.inputs = {{{int64_t{1} << 40, int64_t{1} << 40}}};
       },
       "too many elements"},
      {[](ServerOptions* o) {
         o->models[0].model.preprocessing.mean = {1, 2};
       },
       "mean"},
      {[](ServerOptions* o) { o->models[0].model.preprocessing.std = {0}; },
       "std has"},
      {[](ServerOptions* o) {
         o->models[0].model.inputs = {};
         o->models[0].quantization.calibration_shard = "";
       },
       "--sample_shape"},
      {[](ServerOptions* o) {
         o->models[0].quantization.shards[0].name = "../x";
       },
       "shard name \"../x\""},
      {[](ServerOptions* o) { o->models[0].quantization.shards[1].name = "a"; },
       "\"a\" is given twice"},
      {[](ServerOptions* o) { o->models[0].quantization.shards[1].path = ""; },
       "\"b\" has no path"},
      {[](ServerOptions* o) { o->models[0].quantization.test_shard = "c"; },
       "no shard is named \"c\""},
      {[](ServerOptions* o) { o->models[0].quantization.options.samples = 0; },
       "samples is 0"},
      {[](ServerOptions* o) {
         o->models[0].quantization.gate.max_accuracy_drop = 2;
       },
       "accuracy"},
      {[](ServerOptions* o) {
         o->models[0].quantization.reading.images.crop = -1;
       },
       "crop is -1"},
      {[](ServerOptions* o) {
         o->models[0].quantization.reading.max_samples = -1;
       },
       "max_samples is -1"},
      {[](ServerOptions* o) { o->serving.workers = -1; }, "workers is -1"},
      {[](ServerOptions* o) { o->serving.queue_capacity = 0; }, "queue is 0"},
      {[](ServerOptions* o) { o->models[0].model.max_batch = 0; },
       "max_batch is 0"},
      {[](ServerOptions* o) { o->network.port = 65536; }, "port is 65536"},
      {[](ServerOptions* o) { o->network.metrics_port = -1; },
       "metrics_port is -1"},
      {[](ServerOptions* o) { o->network.address = ""; }, "address"},
      {[](ServerOptions* o) { o->network.max_message_bytes = 10; },
       "max_message_bytes is 10"},
      {[](ServerOptions* o) { o->network.drain = -absl::Seconds(1); },
       "drain_seconds is -1"},
  };
  for (const Case& c : cases) {
    ServerOptions options = GoodOptions();
    c.change(&options);
    const absl::Status status = options.Validate();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.names;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.names));
  }
}

TEST(ServerOptionsTest, TheLadderEndsAtTheLargestBatch) {
  EXPECT_THAT(BatchLadder(1), ElementsAre(1));
  EXPECT_THAT(BatchLadder(8), ElementsAre(1, 2, 4, 8));
  EXPECT_THAT(BatchLadder(12), ElementsAre(1, 2, 4, 8, 12));
}

TEST(HeldOutTest, TakesWhatTheCalibrationLeaves) {
  const HeldOut split = SplitForHoldOut(1000, 512);
  EXPECT_EQ(split.calibrate, 512);
  EXPECT_EQ(split.first, 512);
  EXPECT_EQ(split.held_out, 488);
}

TEST(HeldOutTest, NeverOverlapsTheCalibrationWhereThereAreTwoSamples) {
  for (int64_t size : {2, 3, 7, 100, 512, 5000}) {
    for (int64_t wanted : {1, 2, 100, 512, 100000}) {
      const HeldOut split = SplitForHoldOut(size, wanted);
      EXPECT_GE(split.calibrate, 1) << size << " " << wanted;
      EXPECT_LE(split.calibrate, wanted);
      EXPECT_GE(split.held_out, 1);
      EXPECT_LE(split.held_out, 512);
      EXPECT_GE(split.first, split.calibrate);
      EXPECT_LE(split.first + split.held_out, size);
    }
  }
}

TEST(HeldOutTest, ASingleSampleServesForBoth) {
  const HeldOut split = SplitForHoldOut(1, 512);
  EXPECT_EQ(split.calibrate, 1);
  EXPECT_EQ(split.first, 0);
  EXPECT_EQ(split.held_out, 1);
}

TEST(LifecycleTest, DrainingRefusesCallsAndIsTheEnd) {
  Lifecycle lifecycle;
  EXPECT_TRUE(lifecycle.Enter().ok());
  EXPECT_FALSE(lifecycle.ready());
  EXPECT_TRUE(lifecycle.BecomeReady());
  EXPECT_TRUE(lifecycle.ready());
  lifecycle.BecomeDraining();
  EXPECT_EQ(lifecycle.Enter().code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(lifecycle.BecomeReady());
  EXPECT_FALSE(lifecycle.AwaitIdle(absl::Milliseconds(1)));
  std::thread leaver([&lifecycle] { lifecycle.Leave(); });
  EXPECT_TRUE(lifecycle.AwaitIdle(absl::Minutes(1)));
  // A call that is refused puts the quiet off.
  EXPECT_TRUE(absl::IsUnavailable(lifecycle.Enter()));
  const absl::Time refused = SteadyNow();
  lifecycle.AwaitQuiet(absl::Milliseconds(20), absl::Minutes(1));
  EXPECT_GE(SteadyNow() - refused, absl::Milliseconds(19));
  leaver.join();
}

// For ThreadSanitizer above all.
TEST(LifecycleTest, EndsWhileManyCallsComeAndGo) {
  Lifecycle lifecycle;
  ASSERT_TRUE(lifecycle.BecomeReady());
  std::atomic<int> calls{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      while (lifecycle.Enter().ok()) {
        if (lifecycle.ready()) ++calls;
        lifecycle.Leave();
      }
    });
  }
  while (calls < 100) std::this_thread::yield();
  EXPECT_TRUE(lifecycle.BecomeLameDuck());
  lifecycle.BecomeDraining();
  EXPECT_TRUE(lifecycle.AwaitIdle(absl::Minutes(1)));
  for (std::thread& caller : callers) caller.join();
  EXPECT_TRUE(absl::IsUnavailable(lifecycle.Enter()));
}

TEST(ShardStoreTest, KnowsShardsByNameOnly) {
  const std::string path = testing::WriteFakeShard(4, "store.npy");
  ShardStore store({{"mine", path}});
  EXPECT_TRUE(store.Load("mine").ok());
  for (const std::string& name : {path, std::string("/etc/passwd"),
                                  std::string("../mine"), std::string("")}) {
    const auto shard = store.Load(name);
    EXPECT_EQ(shard.status().code(), absl::StatusCode::kNotFound) << name;
    EXPECT_THAT(std::string(shard.status().message()),
                HasSubstr("there are: mine"));
  }
}

TEST(ShardStoreTest, APinnedShardIsReadOnce) {
  ShardStore store({{"mine", testing::WriteFakeShard(4, "pinned.npy")}});
  const auto pinned = store.Pin("mine");
  ASSERT_TRUE(pinned.ok()) << pinned.status();
  EXPECT_EQ(*store.Load("mine"), *pinned);
}

// A directory with samples in it, and others beside it.
class ShardDirectoryTest : public ::testing::Test {
 protected:
  ShardDirectoryTest() {
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_ + "/shards/folder");
    inside_ = testing::WriteFakeShard(4, name_ + "/shards/a.npy");
    outside_ = testing::WriteFakeShard(4, name_ + "/b.npy");
  }
  ~ShardDirectoryTest() override { std::filesystem::remove_all(root_); }

  absl::StatusCode CodeOf(const std::string& name) const {
    return store_.Load(name).status().code();
  }

  // Tests may run beside each other.
  const std::string name_ = "shard_directory." + std::to_string(getpid());
  const std::string root_ = ::testing::TempDir() + name_;
  std::string inside_, outside_;
  ShardStore store_{{}, root_ + "/shards"};
};

TEST_F(ShardDirectoryTest, WhatLiesInItIsNamedByItsFile) {
  const auto shard = store_.Load("a.npy");
  ASSERT_TRUE(shard.ok()) << shard.status();
  EXPECT_EQ((*shard)->size(), 4);
  EXPECT_TRUE(store_.Check("a.npy").ok());
  EXPECT_THAT(store_.names(), ::testing::ElementsAre("a.npy", "folder"));
  // What is put there later counts.
  testing::WriteFakeShard(5, name_ + "/shards/later.npy");
  EXPECT_EQ((*store_.Load("later.npy"))->size(), 5);
  std::filesystem::remove(root_ + "/shards/later.npy");
  EXPECT_EQ(CodeOf("later.npy"), absl::StatusCode::kNotFound);
}

TEST_F(ShardDirectoryTest, NoNameLeadsOutOfIt) {
  for (const std::string name :
       {"../b.npy", "..", ".", "", "/etc/passwd", "folder/../../b.npy",
        "./a.npy", "folder/", "a.npy/", "..%2fb.npy", "a.npy\n"}) {
    EXPECT_EQ(CodeOf(name), absl::StatusCode::kNotFound) << name;
  }
  EXPECT_EQ(CodeOf(outside_), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOf(inside_), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOf(std::string("a.npy\0", 6)), absl::StatusCode::kNotFound);
}

TEST_F(ShardDirectoryTest, LinksMayLeadToOtherPlacesInside) {
  std::filesystem::create_symlink(inside_, root_ + "/shards/alias.npy");
  EXPECT_EQ(CodeOf("alias.npy"), absl::StatusCode::kOk);
}

TEST_F(ShardDirectoryTest, LinksThatLeadOutAreRefused) {
  const std::string dir = root_ + "/shards/";
  std::filesystem::create_symlink(outside_, dir + "absolute.npy");
  std::filesystem::create_symlink("../b.npy", dir + "relative.npy");
  std::filesystem::create_symlink("absolute.npy", dir + "chain.npy");
  std::filesystem::create_symlink("nowhere", dir + "broken.npy");
  std::filesystem::create_symlink("circle.npy", dir + "circle.npy");
  std::filesystem::create_directory_symlink(root_, dir + "up");
  std::filesystem::create_symlink(outside_, dir + "folder/image.png");
  for (const char* name : {"absolute.npy", "relative.npy", "chain.npy",
                           "broken.npy", "circle.npy", "up", "folder"}) {
    const absl::Status status = store_.Load(name).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
    EXPECT_THAT(std::string(status.message()),
                ::testing::Not(HasSubstr(root_)));
  }
  // A name that begins like the directory's is another directory.
  std::filesystem::create_directories(root_ + "/shards2");
  std::filesystem::create_directory_symlink(root_ + "/shards2", dir + "twin");
  EXPECT_EQ(CodeOf("twin"), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ShardDirectoryTest, AListedShardHidesAnEntryOfItsName) {
  ShardStore store({{"a.npy", testing::WriteFakeShard(7, "other.npy")}},
                   root_ + "/shards");
  EXPECT_EQ((*store.Load("a.npy"))->size(), 7);
}

TEST_F(ShardDirectoryTest, AFileIsNoDirectory) {
  EXPECT_TRUE(ShardDirectory("").Check().ok());
  EXPECT_TRUE(ShardDirectory(root_).Check().ok());
  EXPECT_EQ(ShardDirectory(inside_).Check().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(ShardStoreTest, ChecksTheSampleShape) {
  ShardStore store({{"mine", testing::WriteFakeShard(4, "shape.npy")}});
  store.Expect({}, {{{3, 32, 32}}});
  const auto shard = store.Load("mine");
  EXPECT_EQ(shard.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(shard.status().message()), HasSubstr("[3,32,32]"));
}

TEST(ShardStoreTest, ChecksEveryInput) {
  const std::string path = testing::WriteFakeShard(4, "inputs.npy");
  ShardStore store({{"mine", path}});
  const Shape& shape = testing::FakeSampleShape();
  const auto message = [&store](std::vector<InputSpec> inputs) {
    store.Expect({}, std::move(inputs));
    const auto shard = store.Load("mine");
    EXPECT_EQ(shard.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(shard.status().message());
  };
  EXPECT_THAT(message({{shape}, {{16}, true}}),
              HasSubstr("shard mine\" has samples for 1 inputs, expected 2: "));
  EXPECT_THAT(message({{shape, true}}), HasSubstr("input_0, expected int64"));
  EXPECT_EQ(store.Pin("mine").status().code(),
            absl::StatusCode::kInvalidArgument);
  store.Expect({}, {{shape}});
  EXPECT_TRUE(store.Load("mine").ok());
}

}  // namespace
}  // namespace quantserve
