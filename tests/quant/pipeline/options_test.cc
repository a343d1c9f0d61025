#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quant/pipeline/pipeline.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;

ModelOptions Good() {
  ModelOptions options;
  options.path = "model.pt";
  options.inputs = {{{3, 32, 32}}};
  return options;
}

TEST(ModelOptionsTest, DefaultsAreValid) {
  EXPECT_TRUE(Good().Validate().ok()) << Good().Validate();
}

TEST(ModelOptionsTest, EachBadFieldIsNamed) {
  const std::vector<std::pair<std::function<void(ModelOptions*)>, std::string>>
      cases = {
          {[](ModelOptions* o) { o->path = ""; }, "path"},
          {[](ModelOptions* o) { o->inputs = {}; }, "the shape of a sample"},
          {[](ModelOptions* o) { o->inputs = {{{}}}; }, "sample shape []"},
          {[](ModelOptions* o) {
             o->inputs = {{{8}}, {{3, 0}}};
           },
           "[3,0]"},
          {[](ModelOptions* o) {
             o->inputs = {{{1 << 30, 1 << 30, 8}}};
           },
           "too many elements"},
          {[](ModelOptions* o) { o->engine.ladder = {}; }, "ladder"},
          {[](ModelOptions* o) {
             o->engine.ladder = {2, 4};
           },
           "ladder"},
          {[](ModelOptions* o) {
             o->engine.ladder = {1, 4, 4};
           },
           "ladder"},
          {[](ModelOptions* o) {
             o->engine.ladder = {1, 5000};
           },
           "ladder"},
          {[](ModelOptions* o) { o->engine.threads = 0; }, "threads"},
          {[](ModelOptions* o) {
             o->preprocessing.mean = {1, 2};
           },
           "mean"},
          {[](ModelOptions* o) { o->preprocessing.std = {0}; }, "std"},
      };
  for (const auto& [apply, name] : cases) {
    ModelOptions options = Good();
    apply(&options);
    const absl::Status status = options.Validate();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  }
}

TEST(QuantizeOptionsTest, SamplesAndBatchHaveBounds) {
  QuantizeOptions options;
  EXPECT_TRUE(options.Validate().ok());
  options.samples = 0;
  EXPECT_FALSE(options.Validate().ok());
  options.samples = 1;
  options.batch = 5000;
  EXPECT_FALSE(options.Validate().ok());
}

TEST(EngineChoiceTest, NamesComeBack) {
  for (const EngineChoice choice :
       {EngineChoice::kAuto, EngineChoice::kTorchScript,
        EngineChoice::kOneDnn}) {
    EXPECT_EQ(*ParseEngineChoice(EngineChoiceName(choice)), choice);
  }
  EXPECT_FALSE(ParseEngineChoice("tensorrt").ok());
}

TEST(Int8SelfTestTest, PassesHere) {
  EXPECT_TRUE(Int8SelfTest().ok()) << Int8SelfTest();
}

}  // namespace
}  // namespace quantserve
