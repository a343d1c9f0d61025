#include "tests/quant/report/sample_document.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"

namespace quantserve {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

enum class Tail { kReLU, kLaplace, kHeavy };

// Relative density of a value at `x` standard deviations.
double Density(Tail tail, double x) {
  switch (tail) {
    case Tail::kReLU:
      return x < 0 ? 0 : std::exp(-0.9 * x);
    case Tail::kLaplace:
      return std::exp(-std::abs(x - 0.2) * 1.3);
    case Tail::kHeavy:
      return std::pow(1 + x * x / 2, -1.5);
  }
  return 0;
}

// A few percent up or down, different for each bin.
double Noise(int i) { return 1 + 0.12 * std::sin(i * 12.9898 + i * i * 0.37); }

ActivationReport Activation(Tail tail, double deviation, int64_t values) {
  constexpr int kBins = 2048;
  const double lo = tail == Tail::kReLU ? 0 : tail == Tail::kHeavy ? -38 : -9;
  const double hi = tail == Tail::kReLU ? 14 : tail == Tail::kHeavy ? 52 : 11;
  ActivationReport activation;
  activation.histogram.bounds = {static_cast<float>(lo * deviation),
                                 static_cast<float>(hi * deviation)};
  activation.histogram.zeros = tail == Tail::kReLU ? values * 47 / 100 : 0;
  double sum = 0;
  std::vector<double> density;
  for (int i = 0; i < kBins; ++i) {
    const double x = lo + (hi - lo) * (i + 0.5) / kBins;
    density.push_back(Density(tail, x) * Noise(i));
    sum += density.back();
  }
  const double from = tail == Tail::kReLU    ? 0
                      : tail == Tail::kHeavy ? -9.5
                                             : -6.4;
  const double to = tail == Tail::kReLU ? 9.1 : tail == Tail::kHeavy ? 12 : 7.2;
  int64_t clipped = 0;
  for (int i = 0; i < kBins; ++i) {
    const auto count = static_cast<int64_t>(
        density[i] / sum *
        static_cast<double>(values - activation.histogram.zeros));
    const double x = lo + (hi - lo) * (i + 0.5) / kBins;
    if (x < from || x > to) clipped += count;
    activation.histogram.counts.push_back(count);
  }
  // The largest value was seen.
  activation.histogram.counts.back() = 1;
  activation.range = {static_cast<float>(from * deviation),
                      static_cast<float>(to * deviation)};
  activation.scale = (activation.range.hi - activation.range.lo) / 255;
  activation.zero_point =
      static_cast<int>(std::lround(-activation.range.lo / activation.scale));
  activation.clipped_share =
      static_cast<double>(clipped) / static_cast<double>(values);
  return activation;
}

// Builds the layers in order.
struct Builder {
  std::vector<LayerReport> layers;
  double cumulative = 46;

  void Add(const std::string& name, const std::string& op, Shape shape,
           int64_t macs, Tail tail, double deviation) {
    const auto i = static_cast<int>(layers.size());
    int64_t values = 512;
    for (int64_t dim : shape) values *= dim;
    LayerReport layer;
    layer.name = name;
    layer.op = op;
    layer.quantized = true;
    layer.output_shape = std::move(shape);
    layer.macs = macs;
    layer.activation = Activation(tail, deviation, values);
    const double local = (tail == Tail::kHeavy  ? 29
                          : tail == Tail::kReLU ? 41
                                                : 37) +
                         3 * std::sin(i * 1.7);
    layer.local_sqnr_db = local;
    cumulative = -10 * std::log10(std::pow(10, -cumulative / 10) * 0.93 +
                                  std::pow(10, -local / 10) * 0.2);
    layer.cumulative_sqnr_db = cumulative;
    const double work = 2.0 + static_cast<double>(macs) / 62e3 +
                        static_cast<double>(values) / 512 / 9e3;
    layer.fp32_time = absl::Microseconds(work * Noise(i));
    layer.int8_time = absl::Microseconds((1.6 + work / 3.6) * Noise(i + 7));
    layers.push_back(std::move(layer));
  }

  void Island(const std::string& name, const std::string& op, Shape shape,
              int64_t macs, double microseconds, const std::string& reason) {
    LayerReport layer;
    layer.name = name;
    layer.op = op;
    layer.reason = reason;
    layer.output_shape = std::move(shape);
    layer.macs = macs;
    layer.cumulative_sqnr_db = cumulative;
    layer.fp32_time = absl::Microseconds(microseconds);
    layer.int8_time = absl::Microseconds(microseconds * 1.04);
    layers.push_back(std::move(layer));
  }

  void Stage(int stage, int blocks, int64_t channels, int64_t size) {
    for (int block = 0; block < blocks; ++block) {
      const std::string name = absl::StrCat("layer", stage, ".", block, ".");
      const Shape shape = {1, channels, size, size};
      const bool first = block == 0 && stage > 1;
      const int64_t macs = channels * channels * 9 * size * size;
      Add(name + "conv1", "Conv2d + ReLU", shape, first ? macs / 2 : macs,
          Tail::kReLU, 0.31 + 0.02 * block);
      Add(name + "conv2", "Conv2d", shape, macs,
          stage == 4 && block == 2 ? Tail::kHeavy : Tail::kLaplace, 0.4);
      if (first) {
        Add(name + "downsample.0", "Conv2d", shape, macs / 18, Tail::kHeavy,
            0.36);
      }
      Add(name + "add", "Add + ReLU", shape, 0, Tail::kReLU, 0.5 + 0.1 * block);
    }
  }
};

std::vector<LayerReport> Layers() {
  Builder builder;
  builder.Add("conv1", "Conv2d + ReLU", {1, 64, 112, 112},
              int64_t{64} * 3 * 49 * 112 * 112, Tail::kReLU, 0.29);
  builder.Add("maxpool", "MaxPool2d", {1, 64, 56, 56}, 0, Tail::kReLU, 0.35);
  builder.Stage(1, 3, 64, 56);
  builder.Stage(2, 4, 128, 28);
  builder.Stage(3, 6, 256, 14);
  builder.Stage(4, 3, 512, 7);
  // What the accuracy budget put back.
  LayerReport& restored = builder.layers[builder.layers.size() - 2];
  restored.quantized = false;
  restored.reason =
      "restored by the accuracy budget: gives back 0.0021 of top-1";
  restored.activation.reset();
  restored.local_sqnr_db.reset();
  restored.int8_time = *restored.fp32_time * 1.03;
  builder.Add("avgpool", "AdaptiveAvgPool2d", {1, 512, 1, 1}, 0, Tail::kReLU,
              0.22);
  const std::string normalisation =
      "LayerNorm has no 8-bit form: its statistics need the real values";
  builder.Island("head.norm", "aten::layer_norm", {1, 512}, 2048, 4.1,
                 normalisation);
  builder.Add("head.fc1", "Linear", {1, 1024}, 512 * 1024, Tail::kLaplace, 0.8);
  builder.Island("head.norm2", "aten::layer_norm", {1, 1024}, 4096, 5.3,
                 normalisation);
  builder.Add("head.act", "GELU", {1, 1024}, 0, Tail::kHeavy, 0.5);
  builder.Add("head.fc2", "Linear", {1, 1000}, 1024 * 1000, Tail::kLaplace,
              1.9);
  // The last layer writes its logits in FP32.
  builder.layers.back().activation.reset();
  return builder.layers;
}

std::vector<TrialReport> Trials() {
  return {{"ranges minmax", 21.37, 0.9453, 0.7109, false},
          {"ranges moving_average", 22.9, 0.9531, 0.7148, false},
          {"ranges percentile 99.99", 27.16, 0.9727, 0.7266, false},
          {"ranges entropy", 24.02, 0.957, 0.7188, false},
          {"ranges mse", 28.44, 0.9766, 0.7285, true},
          {"bias correction sequential", 29.31, 0.9805, 0.7305, true},
          {"equalization", 29.02, 0.9785, 0.7305, false},
          {"keep layer4.2.conv2 in FP32", 30.28, 0.9844, 0.7324, true}};
}

double Int8Share(const std::vector<LayerReport>& layers) {
  double all = 0, int8 = 0;
  for (const LayerReport& layer : layers) {
    all += static_cast<double>(layer.macs);
    if (layer.quantized) int8 += static_cast<double>(layer.macs);
  }
  return int8 / all;
}

}  // namespace

ReportDocument SampleDocument() {
  ReportDocument document;
  document.title = "resnet34_head";
  document.model_path = "models/resnet34_head.pt";
  document.model_sha256 =
      "5c106cde386e87d4033832f2996f5493238eda96ccf559d1d62760c4de0613f8";
  document.shard_path = "shards/imagenet_512.pt";
  document.shard_sha256 =
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  document.evaluated_on = "2,048 labelled samples of imagenet_val.pt";
  document.facts = {{"QuantServe", "0.1.0"},
                    {"LibTorch", "1.13.1"},
                    {"oneDNN", "2.6.3"},
                    {"Processor", "AVX-512 VNNI, 2 threads used"},
                    {"Options", "--ranges auto --max_drop 0.01 --samples 512"}};
  document.variants = {
      {"fp32", "onednn", 0.7329, std::nullopt, std::nullopt,
       absl::Microseconds(59312), absl::Microseconds(63020), 87'341'212},
      {"fp32-torchscript", "torchscript", 0.7329, 1.0, kInf,
       absl::Microseconds(71044), absl::Microseconds(80911), 87'341'212},
      {"int8", "onednn", 0.7319, 0.9844, 30.28, absl::Microseconds(17380),
       absl::Microseconds(19604), 22'413'004},
      {"int8-torchscript", "torchscript", 0.7319, 0.9844, 30.28,
       absl::Microseconds(24118), absl::Microseconds(29455), 22'413'004}};
  QuantizationReport& report = document.quantization;
  report.range_method = "mse";
  report.shard = "imagenet_512.pt";
  report.samples = 512;
  report.held_out = 512;
  report.layers = Layers();
  report.int8_macs_share = Int8Share(report.layers);
  report.trials = Trials();
  report.budget = BudgetReport{"drop of top-1 at most 0.0100",
                               "0.0010 with 1 layer in FP32", true};
  report.notes = {
      "The shard has no sample of 12 of 1,000 classes.",
      "\"head.norm\" and \"head.norm2\" run as TorchScript between 8-bit "
      "layers."};
  report.digest =
      "0f343b0931126a20f133d67c2b018a3b0b5e6f5d8a5f5c6b7e0a3f2d8c1b4a59";
  report.artifact = "the model's SHA-256 differs";
  report.phases = {{"load", absl::Milliseconds(840)},
                   {"calibrate", absl::Seconds(41.2)},
                   {"try ranges", absl::Seconds(63)},
                   {"correct biases", absl::Seconds(17.5)},
                   {"compile", absl::Seconds(9.1)},
                   {"evaluate", absl::Seconds(30.4)}};
  document.created = absl::FromCivil(absl::CivilSecond(2026, 3, 14, 15, 9, 26),
                                     absl::UTCTimeZone());
  return document;
}

ReportDocument SampleDocumentOf(int layers) {
  ReportDocument document = SampleDocument();
  std::vector<LayerReport>& all = document.quantization.layers;
  const std::vector<LayerReport> some = all;
  all.resize(std::min<size_t>(all.size(), layers));
  while (static_cast<int>(all.size()) < layers) {
    all.push_back(some[all.size() % some.size()]);
    all.back().name = absl::StrCat("features.", all.size(), ".conv");
  }
  return document;
}

ReportDocument HostileDocument() {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const auto nan = std::numeric_limits<float>::quiet_NaN();
  const std::string evil =
      "</title></script><script>document.title='owned'</script>"
      "<img/onerror=alert(1)>\"'&amp; \x01\x1b[31m \xff\xc0\x80 \xe2\x80\xae";
  ReportDocument document;
  document.title = evil;
  document.model_path = document.shard_path = document.evaluated_on = evil;
  document.model_sha256 = document.shard_sha256 = evil;
  document.facts = {{evil, evil}};
  document.variants = {
      {"fp32" + evil, evil, kNan, kInf, -kInf, absl::InfiniteDuration(),
       -absl::Seconds(1), std::numeric_limits<int64_t>::min()},
      {"int8" + evil, evil, kNan, kNan, kInf, absl::ZeroDuration(),
       absl::InfiniteDuration(), std::numeric_limits<int64_t>::max()}};
  QuantizationReport& report = document.quantization;
  report.range_method = report.shard = report.digest = report.artifact = evil;
  report.samples = -1;
  report.int8_macs_share = kNan;
  report.notes = {evil};
  report.trials = {{evil, kNan, kInf, kNan, true},
                   {evil, kInf, -5, std::nullopt, false}};
  report.budget = BudgetReport{evil, evil, false};
  report.phases = {{evil, absl::InfiniteDuration()}, {evil, -absl::Seconds(5)}};
  for (int i = 0; i < 4; ++i) {
    LayerReport layer;
    layer.name = i == 3 ? std::string(100'000, 'W') : evil;
    layer.op = layer.reason = evil;
    layer.output_shape = {-1, std::numeric_limits<int64_t>::max(), 0};
    layer.macs = i == 0 ? std::numeric_limits<int64_t>::min()
                        : std::numeric_limits<int64_t>::max();
    layer.local_sqnr_db = i == 0 ? kNan : i == 1 ? kInf : -1e300;
    layer.cumulative_sqnr_db = i == 0 ? -kInf : 1e300;
    layer.fp32_time = i == 0 ? absl::InfiniteDuration() : -absl::Seconds(3);
    layer.int8_time = absl::Nanoseconds(0.25);
    ActivationReport activation;
    activation.range = i == 0 ? Range{nan, nan} : Range{3.4e38f, -3.4e38f};
    activation.scale = nan;
    activation.clipped_share = kNan;
    activation.histogram.bounds =
        i == 2 ? Range{-3.4e38f, 3.4e38f} : Range{nan, 1};
    activation.histogram.counts = {-5, std::numeric_limits<int64_t>::max(),
                                   std::numeric_limits<int64_t>::max()};
    activation.histogram.zeros = std::numeric_limits<int64_t>::min();
    layer.activation = activation;
    report.layers.push_back(layer);
  }
  document.created = absl::InfiniteFuture();
  return document;
}

ReportDocument EmptyDocument() {
  ReportDocument document;
  document.title = "empty";
  return document;
}

}  // namespace quantserve
