#include "tests/testing/fake_model.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace quantserve::testing {
namespace {

constexpr int64_t kElements = 12;

class FakeContext : public ExecutionContext {
 public:
  FakeContext(FakeControls* controls, bool reversed)
      : controls_(controls), reversed_(reversed) {}

  absl::Status Run(int64_t batch, absl::Span<const float* const> inputs,
                   absl::Span<float* const> outputs) override {
    controls_->runs.Pass();
    if (controls_->fail_runs) {
      return absl::InternalError("/secret/path 0x7f001234 broke");
    }
    for (int64_t i = 0; i < batch; ++i) {
      const float* in = inputs[0] + i * kElements;
      float* out = outputs[0] + i * kFakeOutputs;
      std::copy(in, in + kFakeOutputs, out);
      if (reversed_) std::reverse(out, out + kFakeOutputs);
    }
    return absl::OkStatus();
  }

 private:
  FakeControls* const controls_;
  const bool reversed_;
};

class FakeEngine : public Engine {
 public:
  FakeEngine(const std::string& precision,
             std::shared_ptr<FakeControls> controls, bool reversed)
      : controls_(std::move(controls)),
        reversed_(reversed),
        inputs_({{"x", FakeSampleShape()}}),
        outputs_({{"logits", {kFakeOutputs}}}) {
    info_.engine = "fake";
    info_.precision = precision;
    info_.weight_bytes = 1000;
    info_.context_bytes = 10;
    ++controls_->engines;
  }
  ~FakeEngine() override {
    controls_->destroyed_on = std::this_thread::get_id();
    --controls_->engines;
  }

  const EngineInfo& info() const override { return info_; }
  const std::vector<TensorSpec>& inputs() const override { return inputs_; }
  const std::vector<TensorSpec>& outputs() const override { return outputs_; }
  int64_t max_batch() const override { return 8; }
  absl::StatusOr<std::unique_ptr<ExecutionContext>> NewContext()
      const override {
    if (controls_->fail_context && info_.precision == "int8") {
      return absl::InternalError("no context");
    }
    return std::make_unique<FakeContext>(controls_.get(), reversed_);
  }

 private:
  const std::shared_ptr<FakeControls> controls_;
  const bool reversed_;
  const std::vector<TensorSpec> inputs_;
  const std::vector<TensorSpec> outputs_;
  EngineInfo info_;
};

class FakePipeline : public ModelPipeline {
 public:
  FakePipeline(std::shared_ptr<FakeControls> controls,
               Preprocessing preprocessing)
      : controls_(std::move(controls)) {
    info_.path = "fake.pt";
    info_.sha256 = "0123";
    info_.inputs = {{"x", FakeSampleShape()}};
    info_.outputs = {{"logits", {kFakeOutputs}}};
    options_.inputs = {{FakeSampleShape()}};
    options_.preprocessing = std::move(preprocessing);
  }

  const ModelInfo& info() const override { return info_; }
  const ModelOptions& options() const override { return options_; }

  absl::StatusOr<CompiledVariant> CompileFloat(
      const JobControl&) const override {
    if (controls_->fail_float) return absl::InternalError("no fp32");
    CompiledVariant variant;
    variant.precision = "fp32";
    variant.engine = MakeFakeEngine("fp32", controls_);
    variant.size_bytes = 4000;
    return variant;
  }

  absl::StatusOr<CompiledVariant> CompileBf16(
      const JobControl&) const override {
    CompiledVariant variant;
    variant.precision = "bf16";
    variant.engine = MakeFakeEngine("bf16", controls_);
    variant.size_bytes = 4000;
    return variant;
  }

  absl::StatusOr<QuantizedVariant> Quantize(
      const QuantizeOptions& options, const Shard& shard,
      const JobControl& control) const override {
    absl::Status reported = control.Report("ranges", 0, options.samples);
    if (!reported.ok()) return reported;
    controls_->quantizes.Pass();
    reported = control.Report("ranges", options.samples, options.samples);
    if (!reported.ok()) return reported;
    if (controls_->fail_quantize) {
      return absl::InvalidArgumentError("the shard does not fit");
    }
    QuantizedVariant quantized;
    quantized.variant.precision = "int8";
    quantized.variant.engine =
        MakeFakeEngine("int8", controls_, controls_->wrong_int8);
    quantized.variant.size_bytes = 1000;
    quantized.report.range_method = RangeMethodName(options.ranges.method);
    quantized.report.shard = shard.name();
    quantized.report.samples = std::min(options.samples, shard.size());
    LayerReport& layer = quantized.report.layers.emplace_back();
    layer.name = "fc";
    layer.op = "Linear";
    layer.quantized = true;
    for (const std::string& kept : options.keep_fp32) {
      quantized.report.notes.push_back("kept " + kept);
    }
    if (options.max_drop.has_value()) {
      quantized.report.budget = {"a drop", "none", *options.max_drop > 0};
    }
    if (options.detailed_report) {
      layer.activation.emplace().histogram.counts.assign(1000, 1);
    }
    quantized.report.artifact = options.force ? "forced" : kArtifactLoaded;
    quantized.report.phases = {{"calibrate", absl::Milliseconds(5)}};
    return quantized;
  }

 private:
  const std::shared_ptr<FakeControls> controls_;
  ModelInfo info_;
  ModelOptions options_;
};

// Sample i has its largest logit at i % 4.
Tensor FakeSamples(int64_t size) {
  Tensor samples(DType::kF32, {size, 3, 2, 2});
  for (int64_t i = 0; i < size; ++i) {
    samples.data<float>()[i * kElements + i % kFakeOutputs] =
        static_cast<float>(1 + i % 7);
  }
  return samples;
}

}  // namespace

std::shared_ptr<const Engine> MakeFakeEngine(
    const std::string& precision, std::shared_ptr<FakeControls> controls,
    bool reversed) {
  return std::make_shared<FakeEngine>(precision, std::move(controls), reversed);
}

std::unique_ptr<ModelPipeline> MakeFakePipeline(
    std::shared_ptr<FakeControls> controls, Preprocessing preprocessing) {
  return std::make_unique<FakePipeline>(std::move(controls),
                                        std::move(preprocessing));
}

Shard MakeFakeShard(int64_t size, bool labels) {
  std::vector<int64_t> numbers;
  for (int64_t i = 0; labels && i < size; ++i) {
    numbers.push_back(i % kFakeOutputs);
  }
  auto shard = Shard::Make("fake", FakeSamples(size), std::move(numbers));
  EXPECT_TRUE(shard.ok()) << shard.status();
  return *std::move(shard);
}

std::string WriteFakeShard(int64_t size, const std::string& name) {
  const std::string path = ::testing::TempDir() + name;
  const Tensor samples = FakeSamples(size);
  std::string header =
      absl::StrCat("{'descr': '<f4', 'fortran_order': False, 'shape': (", size,
                   ", 3, 2, 2), }");
  // The format wants the data to start at a multiple of 64.
  header.resize((header.size() + 11 + 63) / 64 * 64 - 11, ' ');
  header += '\n';
  const auto length = static_cast<uint16_t>(header.size());
  std::ofstream file(path, std::ios::binary);
  file.write("\x93NUMPY\x01\x00", 8);
  file.write(reinterpret_cast<const char*>(&length), 2);
  file << header;
  file.write(samples.data<char>(), static_cast<int64_t>(samples.bytes()));
  return path;
}

}  // namespace quantserve::testing
