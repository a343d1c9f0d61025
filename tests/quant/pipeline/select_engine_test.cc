// Engines are chosen by what they return and how long they take.
#include "quant/pipeline/select_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"

namespace quantserve {
namespace {

// y = gain * x, after `delay` of busy waiting.
class GainEngine : public Engine {
 public:
  GainEngine(std::string name, float gain, absl::Duration delay)
      : gain_(gain), delay_(delay) {
    info_.engine = std::move(name);
    info_.precision = "int8";
  }
  const EngineInfo& info() const override { return info_; }
  const std::vector<TensorSpec>& inputs() const override { return specs_; }
  const std::vector<TensorSpec>& outputs() const override { return specs_; }
  int64_t max_batch() const override { return 1; }
  absl::StatusOr<std::unique_ptr<ExecutionContext>> NewContext()
      const override {
    return std::make_unique<Context>(*this);
  }

 private:
  class Context : public ExecutionContext {
   public:
    explicit Context(const GainEngine& engine) : engine_(engine) {}
    absl::Status Run(int64_t, absl::Span<const float* const> inputs,
                     absl::Span<float* const> outputs) override {
      const absl::Time end = absl::Now() + engine_.delay_;
      while (absl::Now() < end) {
      }
      for (int i = 0; i < 4; ++i) outputs[0][i] = engine_.gain_ * inputs[0][i];
      return absl::OkStatus();
    }

   private:
    const GainEngine& engine_;
  };
  EngineInfo info_;
  const std::vector<TensorSpec> specs_{{"x", {4}}};
  const float gain_;
  const absl::Duration delay_;
};

EngineCandidate Candidate(const std::string& name, float gain,
                          absl::Duration delay) {
  return {name, [=]() -> absl::StatusOr<std::unique_ptr<Engine>> {
            return std::make_unique<GainEngine>(name, gain, delay);
          }};
}

EngineCandidate Broken(const std::string& name) {
  return {name, []() -> absl::StatusOr<std::unique_ptr<Engine>> {
            return absl::FailedPreconditionError("no such operator");
          }};
}

SelectionOptions Options() {
  SelectionOptions options;
  options.probe = {{1, 2, 3, 4, 5, 6, 7, 8}};
  options.probe_samples = 2;
  options.min_sqnr_db = 20;
  return options;
}

const auto kSlow = absl::Milliseconds(4);
const auto kFast = absl::Microseconds(50);

TEST(SelectEngineTest, FasterOneIsTaken) {
  const auto variant = SelectEngine(
      {Candidate("oracle", 1, kSlow), Candidate("quick", 1, kFast)}, Options());
  ASSERT_TRUE(variant.ok()) << variant.status();
  EXPECT_EQ(variant->engine->info().engine, "quick");
  EXPECT_EQ(variant->timings[0].rejected, "slower");
  EXPECT_GT(variant->timings[0].latency, variant->timings[1].latency);
}

TEST(SelectEngineTest, FasterButWrongOneIsNot) {
  const auto variant = SelectEngine(
      {Candidate("oracle", 1, kSlow), Candidate("wrong", 2, kFast)}, Options());
  ASSERT_TRUE(variant.ok()) << variant.status();
  EXPECT_EQ(variant->engine->info().engine, "oracle");
  EXPECT_THAT(variant->timings[1].rejected,
              ::testing::HasSubstr("disagrees with oracle"));
}

TEST(SelectEngineTest, EngineThatReturnsNanIsRejected) {
  const auto variant = SelectEngine(
      {Candidate("oracle", 1, kSlow), Candidate("nan", std::nanf(""), kFast)},
      Options());
  ASSERT_TRUE(variant.ok()) << variant.status();
  EXPECT_EQ(variant->engine->info().engine, "oracle");
}

TEST(SelectEngineTest, OneThatDoesNotCompileIsPassedOver) {
  const auto variant =
      SelectEngine({Broken("oracle"), Candidate("other", 1, kFast)}, Options());
  ASSERT_TRUE(variant.ok()) << variant.status();
  EXPECT_EQ(variant->engine->info().engine, "other");
  EXPECT_EQ(variant->timings[0].rejected, "no such operator");
}

TEST(SelectEngineTest, WinnerOfAProbeIsCompiledInFull) {
  EngineCandidate candidate = Candidate("full", 1, kFast);
  candidate.compile_probe = Candidate("probe", 1, kFast).compile;
  const auto variant = SelectEngine({candidate}, Options());
  ASSERT_TRUE(variant.ok()) << variant.status();
  EXPECT_EQ(variant->engine->info().engine, "full");
}

TEST(SelectEngineTest, NoneThatCompilesGivesAllReasons) {
  const auto variant = SelectEngine({Broken("a"), Broken("b")}, Options());
  EXPECT_EQ(variant.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(variant.status().message()),
              ::testing::HasSubstr("a: no such operator; b: no such"));
}

}  // namespace
}  // namespace quantserve
