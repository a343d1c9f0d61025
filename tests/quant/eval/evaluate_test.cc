#include "quant/eval/evaluate.h"

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;

// What a FunctionEngine does with one sample.
using SampleFunction = std::function<void(const float* in, float* out)>;

// Applies a plain function to each sample; counts its runs.
class FunctionEngine : public Engine {
 public:
  FunctionEngine(Shape input, int64_t outputs, SampleFunction function)
      : inputs_({{"x", std::move(input)}}),
        outputs_({{"y", {outputs}}}),
        function_(std::move(function)) {}

  const EngineInfo& info() const override { return info_; }
  const std::vector<TensorSpec>& inputs() const override { return inputs_; }
  const std::vector<TensorSpec>& outputs() const override { return outputs_; }
  int64_t max_batch() const override { return 4; }
  absl::StatusOr<std::unique_ptr<ExecutionContext>> NewContext()
      const override {
    return std::make_unique<Context>(*this);
  }

  std::vector<TensorSpec>* mutable_inputs() { return &inputs_; }
  std::vector<TensorSpec>* mutable_outputs() { return &outputs_; }
  mutable int runs = 0;
  mutable int64_t largest_batch = 0;

 private:
  class Context : public ExecutionContext {
   public:
    explicit Context(const FunctionEngine& engine) : engine_(engine) {}
    absl::Status Run(int64_t batch, absl::Span<const float* const> inputs,
                     absl::Span<float* const> outputs) override {
      if (batch < 1 || batch > engine_.max_batch()) {
        return absl::InvalidArgumentError("batch");
      }
      ++engine_.runs;
      engine_.largest_batch = std::max(engine_.largest_batch, batch);
      for (int64_t i = 0; i < batch; ++i) {
        engine_.function_(inputs[0] + i * engine_.inputs_[0].elements(),
                          outputs[0] + i * engine_.outputs_[0].elements());
      }
      return absl::OkStatus();
    }

   private:
    const FunctionEngine& engine_;
  };

  EngineInfo info_;
  std::vector<TensorSpec> inputs_;
  std::vector<TensorSpec> outputs_;
  const SampleFunction function_;
};

// Fails every run.
class BrokenEngine : public FunctionEngine {
 public:
  BrokenEngine() : FunctionEngine({3}, 3, [](const float*, float*) {}) {}
  absl::StatusOr<std::unique_ptr<ExecutionContext>> NewContext()
      const override {
    class Context : public ExecutionContext {
      absl::Status Run(int64_t, absl::Span<const float* const>,
                       absl::Span<float* const>) override {
        return absl::InternalError("broken");
      }
    };
    return std::make_unique<Context>();
  }
};

void Identity(const float* in, float* out) {
  for (int i = 0; i < 3; ++i) out[i] = in[i];
}

// Seven samples whose largest element is at 0, 1, 2, 0, 1, 2, 0.
Shard OneHot(std::vector<int64_t> labels) {
  Tensor samples(DType::kF32, {7, 3});
  for (int i = 0; i < 7; ++i) samples.data<float>()[3 * i + i % 3] = 1;
  return *Shard::Make("shard", std::move(samples), std::move(labels));
}

EvaluateOptions Options(int64_t first, int64_t samples, int64_t batch) {
  EvaluateOptions options;
  options.first = first;
  options.samples = samples;
  options.batch = batch;
  return options;
}

TEST(EvaluateTest, CountsWhatIsRight) {
  const FunctionEngine engine({3}, 3, Identity);
  for (int64_t batch : {1, 2, 3, 4}) {
    const auto result = Evaluate(engine, OneHot({0, 1, 2, 0, 1, 0, 0}), {},
                                 Options(0, 0, batch), {});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->samples, 7);
    EXPECT_EQ(result->correct, 6) << batch;
    EXPECT_DOUBLE_EQ(*result->accuracy, 6.0 / 7);
    EXPECT_EQ(result->outputs_per_sample, 3);
    ASSERT_EQ(result->outputs.size(), 21u);
    EXPECT_EQ(result->outputs[3 * 5 + 2], 1);
  }
}

TEST(EvaluateTest, TakesAPartOfTheShard) {
  const FunctionEngine engine({3}, 3, Identity);
  const auto result =
      Evaluate(engine, OneHot({0, 0, 2, 0, 1, 0, 0}), {}, Options(1, 4, 4), {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->samples, 4);
  EXPECT_EQ(result->correct, 3);
  EXPECT_EQ(result->outputs[1], 1);  // sample 1
}

TEST(EvaluateTest, WithoutLabelsThereIsNoAccuracy) {
  const FunctionEngine engine({3}, 3, Identity);
  const auto result = Evaluate(engine, OneHot({}), {}, {}, {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(result->accuracy.has_value());
}

TEST(EvaluateTest, PreprocessesBytes) {
  Tensor samples(DType::kU8, {1, 3});
  samples.data<uint8_t>()[1] = 255;
  const Shard shard = *Shard::Make("bytes", std::move(samples), {1});
  Preprocessing preprocessing;
  preprocessing.mean = {0.5};
  preprocessing.std = {0.25};
  const FunctionEngine engine({3}, 3, Identity);
  const auto result = Evaluate(engine, shard, preprocessing, {}, {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->outputs, (std::vector<float>{-2, 2, -2}));
  EXPECT_EQ(result->correct, 1);
}

// A NaN is never the largest output, wherever it stands.
TEST(EvaluateTest, NansAreWrong) {
  const auto with_nan_at = [](int at) {
    return [at](const float* in, float* out) {
      Identity(in, out);
      out[at] = std::nanf("");
    };
  };
  for (int at : {0, 1, 2}) {
    const FunctionEngine engine({3}, 3, with_nan_at(at));
    const auto result =
        Evaluate(engine, OneHot({0, 1, 2, 0, 1, 2, 0}), {}, {}, {});
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(result->correct, at == 0 ? 4 : 5) << at;
  }
  const FunctionEngine all({3}, 3, [](const float*, float* out) {
    for (int i = 0; i < 3; ++i) out[i] = std::nanf("");
  });
  const auto result = Evaluate(all, OneHot({0, 1, 2, 0, 1, 2, 0}), {}, {}, {});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->correct, 0);
}

TEST(EvaluateTest, LatencyIsOfOneSample) {
  const FunctionEngine engine({3}, 3, [](const float* in, float* out) {
    absl::SleepFor(absl::Milliseconds(10));
    Identity(in, out);
  });
  const auto result = Evaluate(engine, OneHot({}), {}, Options(0, 4, 4), {});
  ASSERT_TRUE(result.ok());
  EXPECT_GE(result->latency_p50, absl::Milliseconds(10));
  EXPECT_LT(result->latency_p50, absl::Milliseconds(40));  // not of the batch
  EXPECT_GE(result->latency_p99, result->latency_p50);
  EXPECT_EQ(engine.largest_batch, 4);
}

TEST(EvaluateTest, TheLastBatchIsWhatIsLeft) {
  const FunctionEngine engine({3}, 3, Identity);
  ASSERT_TRUE(Evaluate(engine, OneHot({}), {}, Options(0, 7, 3), {}).ok());
  EXPECT_EQ(engine.runs, 1 + 3);  // one to warm up; 3, 3 and 1 samples
}

TEST(EvaluateTest, ReportsProgressAndCanBeCancelled) {
  const FunctionEngine engine({3}, 3, Identity);
  std::vector<int64_t> done;
  JobControl control;
  control.on_progress = [&](const Progress& progress) {
    EXPECT_EQ(progress.phase, "evaluate");
    EXPECT_EQ(progress.total, 7);
    done.push_back(progress.done);
  };
  ASSERT_TRUE(Evaluate(engine, OneHot({}), {}, Options(0, 0, 3), control).ok());
  EXPECT_EQ(done, (std::vector<int64_t>{0, 3, 6, 7}));
  control.cancelled = [&] { return done.size() >= 6; };
  EXPECT_EQ(Evaluate(engine, OneHot({}), {}, Options(0, 0, 3), control)
                .status()
                .code(),
            absl::StatusCode::kCancelled);
}

TEST(EvaluateTest, RefusesWhatDoesNotFit) {
  const auto message = [](const Engine& engine, const Shard& shard,
                          const EvaluateOptions& options) {
    const auto result = Evaluate(engine, shard, {}, options, {});
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(result.status().message());
  };
  const FunctionEngine engine({3}, 3, Identity);
  const Shard shard = OneHot({0, 1, 2, 0, 1, 3, 0});
  EXPECT_EQ(message(engine, shard, {}),
            "shard \"shard\": sample 5 has the label 3, the model has 3 "
            "outputs");
  EXPECT_TRUE(Evaluate(engine, shard, {}, Options(0, 5, 1), {}).ok());
  EXPECT_EQ(message(FunctionEngine({1, 3}, 3, Identity), shard, {}),
            "shard \"shard\" has samples of shape [3], the model wants [1,3]");
  EXPECT_THAT(message(engine, shard, Options(0, 0, 5)),
              HasSubstr("evaluation batch is 5, expected 1 to 4"));
  EXPECT_THAT(message(engine, shard, Options(0, 0, 0)),
              HasSubstr("evaluation batch is 0"));
  for (const EvaluateOptions& options :
       {Options(-1, 0, 1), Options(7, 0, 1), Options(0, 8, 1), Options(3, 5, 1),
        Options(0, -1, 1),
        Options(std::numeric_limits<int64_t>::max(),
                std::numeric_limits<int64_t>::max(), 1)}) {
    EXPECT_THAT(message(engine, shard, options), HasSubstr("has 7"));
  }
  FunctionEngine two({3}, 3, Identity);
  two.mutable_inputs()->push_back({"z", {3}});
  EXPECT_THAT(message(two, shard, {}), HasSubstr("the model has 2 inputs"));
  FunctionEngine huge({3}, 3, Identity);
  huge.mutable_outputs()->front().shape = {int64_t{1} << 40};
  EXPECT_THAT(message(huge, OneHot({}), {}),
              HasSubstr("outputs for each sample, expected 1 to"));
  Preprocessing bad;
  bad.mean = {1, 2};
  EXPECT_EQ(Evaluate(engine, *Shard::Make("b", Tensor(DType::kU8, {1, 3}), {}),
                     bad, {}, {})
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(EvaluateTest, PassesTheEnginesErrorsOn) {
  const auto result = Evaluate(BrokenEngine(), OneHot({}), {}, {}, {});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInternal);
}

Evaluation Outputs(int64_t per_sample, std::vector<float> outputs) {
  Evaluation evaluation;
  evaluation.outputs_per_sample = per_sample;
  evaluation.samples = static_cast<int64_t>(outputs.size()) / per_sample;
  evaluation.outputs = std::move(outputs);
  return evaluation;
}

TEST(CompareTest, CountsEqualTopOnesAndMeasuresNoise) {
  const auto result =
      Compare(Outputs(2, {3, 0, 0, 4}), Outputs(2, {3, 0, 0.5F, 0}));
  ASSERT_TRUE(result.ok());
  EXPECT_DOUBLE_EQ(result->agreement, 0.5);
  // |y|^2 = 25, |y - y'|^2 = 16.25.
  EXPECT_NEAR(result->sqnr_db, 20 * std::log10(5 / std::sqrt(16.25)), 1e-9);
}

TEST(CompareTest, EqualOutputsHaveNoNoise) {
  const auto result = Compare(Outputs(2, {3, 0}), Outputs(2, {3, 0}));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->agreement, 1);
  EXPECT_EQ(result->sqnr_db, std::numeric_limits<double>::infinity());
}

TEST(CompareTest, OneOutputAlwaysAgrees) {
  const auto result = Compare(Outputs(1, {3, 1}), Outputs(1, {2, 1}));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->agreement, 1);
  EXPECT_NEAR(result->sqnr_db, 10, 1e-9);
}

TEST(CompareTest, NansAgreeWithNothing) {
  const float nan = std::nanf("");
  const auto result =
      Compare(Outputs(2, {nan, nan, 1, 0}), Outputs(2, {nan, nan, 1, 0}));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->agreement, 0.5);
  EXPECT_TRUE(std::isnan(result->sqnr_db));
}

TEST(CompareTest, RefusesDifferentSizes) {
  EXPECT_FALSE(Compare(Outputs(2, {1, 2}), Outputs(1, {1, 2})).ok());
  EXPECT_FALSE(Compare(Outputs(2, {1, 2}), Outputs(2, {1, 2, 3, 4})).ok());
  EXPECT_FALSE(Compare(Evaluation(), Evaluation()).ok());
}

}  // namespace
}  // namespace quantserve
