// Every engine and precision on ResNet-18 and ResNet-20, the LibTorch paths
// beside them, and the machine's peak, all in one run.
//
//   engine_bench --benchmark_out=bench.json --benchmark_filter=resnet18-32
//
// The models are read from QUANTSERVE_SHARED_DIR/models (the environment's, or
// the build's); without them a ResNet-18 with random weights stands in, which
// takes as long, and the rows that need a TorchScript file are left out.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "quant/base/cpu.h"
#include "quant/onednn/onednn_engine.h"
#include "quant/plan/passes/passes.h"
#include "quant/torch/torch.h"
#include "tests/bench/peak.h"
#include "tests/bench/report.h"
#include "tests/testing/plan_builder.h"

namespace quantserve::bench {
namespace {

constexpr int64_t kMaxModelBytes = int64_t{1} << 30;

struct Model {
  std::string name;
  std::unique_ptr<TorchModel> torch;
  Plan fp32, int8;
};

// Compiled when its first benchmark runs, kept for the repetitions.
class LazyEngine {
 public:
  using Compile = std::function<absl::StatusOr<std::unique_ptr<Engine>>()>;
  explicit LazyEngine(Compile compile) : compile_(std::move(compile)) {}
  absl::StatusOr<const Engine*> Get() {
    const std::lock_guard<std::mutex> lock(mu_);
    if (!compiled_) engine_ = compile_();
    compiled_ = true;
    if (!engine_.ok()) return engine_.status();
    return engine_->get();
  }

 private:
  const Compile compile_;
  std::mutex mu_;
  bool compiled_ = false;
  absl::StatusOr<std::unique_ptr<Engine>> engine_;
};

std::string SharedDir() {
  const char* dir = std::getenv("QUANTSERVE_SHARED_DIR");
  return dir != nullptr ? dir : QUANTSERVE_SHARED_DIR;
}

// A TorchScript file of the plan, read back: LibTorch's ways of running it.
absl::StatusOr<std::unique_ptr<TorchModel>> AsTorchModel(const Plan& plan) {
  const std::string path = (std::filesystem::temp_directory_path() /
                            absl::StrCat("quantserve_bench.", getpid(), ".pt"))
                               .string();
  const absl::Status saved = SaveTorchScript(plan, path, {});
  auto model = saved.ok() ? TorchModel::Load(path, kMaxModelBytes) : saved;
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  return model;
}

// The file where it is there and takes images of that size (that of ResNet-20
// takes 32 px only), else the same network with random weights.
absl::StatusOr<Model> OpenBenchModel(const std::string& name, int64_t size) {
  Model model;
  model.name = absl::StrCat(name, "-", size);
  const std::string path =
      absl::StrCat(SharedDir(), "/models/", name, "_cifar10.pt");
  if (std::filesystem::exists(path)) {
    auto torch = TorchModel::Load(path, kMaxModelBytes);
    if (!torch.ok()) return torch.status();
    auto plan = (*torch)->Import({{{3, size, size}}});
    if (plan.ok()) {
      model.torch = *std::move(torch);
      model.fp32 = *std::move(plan);
    }
  }
  if (model.torch == nullptr) {
    std::fprintf(stderr, "%s: random weights\n", model.name.c_str());
    model.fp32 = name == "resnet18" ? testing::RandomResNet18(size)
                                    : testing::RandomResNet20(size);
    auto torch = AsTorchModel(model.fp32);
    if (!torch.ok()) return torch.status();
    model.torch = *std::move(torch);
  }
  model.int8 = testing::Quantized(model.fp32);
  return model;
}

// Taps that meet the image, summed over the outputs along one dimension.
int64_t TapsMet(int64_t size, int64_t out, int64_t taps, int64_t stride,
                int64_t dilation, int64_t before) {
  int64_t met = 0;
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t t = 0; t < taps; ++t) {
      const int64_t at = o * stride - before + t * dilation;
      if (at >= 0 && at < size) ++met;
    }
  }
  return met;
}

int64_t RealMacs(const Plan& plan) {
  int64_t macs = plan.Macs();
  for (const Node& node : plan.nodes) {
    if (node.kind != OpKind::kConv2d) continue;
    const auto& a = std::get<Conv2dAttrs>(node.attrs);
    const Shape& in = plan.value(node.inputs[0]).shape;
    const Shape& out = plan.value(node.outputs[0]).shape;
    const Shape& w = node.weights.data->shape();
    int64_t met = 1, all = 1;
    for (int d = 0; d < 2; ++d) {
      met *= TapsMet(in[2 + d], out[2 + d], w[2 + d], a.stride[d],
                     a.dilation[d], a.padding[d]);
      all *= out[2 + d] * w[2 + d];
    }
    macs -= (all - met) * w[0] * w[1];
  }
  return macs;
}

absl::StatusOr<std::unique_ptr<Engine>> CompileRow(const Model& model,
                                                   const Row& row) {
  EngineOptions options;
  options.ladder = {row.batch};
  options.threads = row.threads;
  SetTorchThreads(row.threads);
  const Plan& plan = row.precision == "int8" ? model.int8 : model.fp32;
  if (row.engine == "onednn") {
    OneDnnOptions onednn;
    onednn.bf16 = row.precision == "bf16";
    return CompileOneDnn(plan, options, onednn);
  }
  if (row.precision == "int8") return CompileTorchScript(plan, options);
  const ScriptExecution execution =
      row.engine == "operators" ? ScriptExecution::kOperators
      : row.engine == "jit"     ? ScriptExecution::kJit
                                : ScriptExecution::kOptimized;
  return model.torch->Compile(execution, plan, row.precision, options);
}

void RunRow(benchmark::State& state, LazyEngine& lazy, const Row& row) {
  SetTorchThreads(row.threads);
  const auto engine = lazy.Get();
  if (!engine.ok()) {
    state.SkipWithError(std::string(engine.status().message()).c_str());
    return;
  }
  auto context = (*engine)->NewContext();
  if (!context.ok()) {
    state.SkipWithError("no context");
    return;
  }
  std::vector<float> image(row.batch * (*engine)->inputs()[0].elements());
  for (size_t i = 0; i < image.size(); ++i) {
    image[i] = static_cast<float>(i % 255) / 64 - 2;
  }
  std::vector<float> logits(row.batch * (*engine)->outputs()[0].elements());
  std::vector<double> seconds;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    const absl::Status status =
        (*context)->Run(row.batch, {image.data()}, {logits.data()});
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
            .count());
    if (!status.ok()) {
      state.SkipWithError(std::string(status.message()).c_str());
      break;
    }
  }
  state.SetItemsProcessed(state.iterations() * row.batch);
  if (seconds.empty()) return;
  const auto middle =
      seconds.begin() + static_cast<int64_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  state.counters[kMedianSeconds] =
      benchmark::Counter(*middle, benchmark::Counter::kAvgThreads);
}

// All the ways of running one model.
std::vector<Row> RowsOf(const Model& model) {
  std::vector<std::pair<std::string, std::string>> ways = {
      {"fp32", "operators"}, {"fp32", "jit"}, {"fp32", "optimised"}};
  ways.push_back({"fp32", "onednn"});
  if (Cpu().avx512_bf16) ways.push_back({"bf16", "onednn"});
  ways.push_back({"int8", "torchscript"});
  ways.push_back({"int8", "onednn"});
  std::vector<Row> rows;
  const Plan trimmed = TrimPaddingTaps(model.fp32);
  const auto add = [&](const auto& way, int64_t batch, int threads,
                       int workers) {
    rows.push_back({model.name, way.first, way.second, batch, threads, workers,
                    static_cast<double>(trimmed.Macs()),
                    static_cast<double>(RealMacs(trimmed)), 0});
  };
  for (int64_t batch : {1, 8, 32}) {
    for (int threads : {1, 2}) {
      for (const auto& way : ways) add(way, batch, threads, 1);
    }
  }
  for (const auto& way : ways) add(way, 1, 1, 2);
  return rows;
}

// Peaks of the kinds of rows that ran, measured at the end of the run.
Peaks MeasurePeaks(const std::vector<Row>& rows) {
  const std::map<std::string, Precision> precisions = {
      {"fp32", Precision::kFp32},
      {"bf16", Precision::kBf16},
      {"int8", Precision::kInt8}};
  Peaks peaks;
  for (const Row& row : rows) {
    const std::pair<std::string, int> key = {row.precision, row.threads};
    if (row.seconds == 0 || peaks.count(key) > 0) continue;
    const auto peak =
        PeakMacsPerSecond(precisions.at(row.precision), row.threads);
    if (peak.ok()) peaks[key] = *peak;
  }
  return peaks;
}

int Main(int argc, char** argv) {
  // Repetitions in random order: whatever else the machine does hits every row
  // alike. Flags on the command line come later and win.
  std::vector<std::string> defaults = {
      argv[0], "--benchmark_repetitions=5", "--benchmark_min_time=0.1",
      "--benchmark_enable_random_interleaving=true"};
  std::vector<char*> args;
  for (std::string& flag : defaults) args.push_back(flag.data());
  for (int i = 1; i < argc; ++i) args.push_back(argv[i]);
  int count = static_cast<int>(args.size());
  benchmark::Initialize(&count, args.data());
  if (benchmark::ReportUnrecognizedArguments(count, args.data())) return 2;

  std::vector<Model> models;
  for (const char* name : {"resnet18", "resnet20"}) {
    for (const int64_t size : {32, 224}) {
      auto model = OpenBenchModel(name, size);
      if (!model.ok()) {
        std::fprintf(stderr, "%s at %lld px: %s\n", name,
                     static_cast<long long>(size),
                     std::string(model.status().message()).c_str());
        return 1;
      }
      models.push_back(*std::move(model));
    }
  }
  std::vector<Row> rows;
  std::vector<std::unique_ptr<LazyEngine>> engines;
  for (const Model& model : models) {
    for (const Row& row : RowsOf(model)) {
      engines.push_back(std::make_unique<LazyEngine>(
          [&model, row] { return CompileRow(model, row); }));
      benchmark::RegisterBenchmark(
          BenchmarkName(row).c_str(),
          [engine = engines.back().get(), row](benchmark::State& state) {
            RunRow(state, *engine, row);
          })
          ->Threads(row.workers)
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond);
      rows.push_back(row);
    }
  }
  CollectingReporter reporter;
  std::printf("%s\n", CpuSummary(Cpu()).c_str());
  benchmark::RunSpecifiedBenchmarks(&reporter);
  for (Row& row : rows) row.seconds = reporter.Seconds(BenchmarkName(row));
  const Peaks peaks = MeasurePeaks(rows);
  PrintTable(rows, peaks);
  PrintTargets(rows, peaks);
  return 0;
}

}  // namespace
}  // namespace quantserve::bench

int main(int argc, char** argv) { return quantserve::bench::Main(argc, argv); }
