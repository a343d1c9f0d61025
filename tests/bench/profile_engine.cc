// Latency and steps of ResNet-18 with random weights in the oneDNN engine:
//   profile_engine [size] [batch] [threads] [int8|fp32|bf16] [profile]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "quant/onednn/onednn_engine.h"
#include "quant/onednn/optimise.h"
#include "tests/testing/plan_builder.h"

namespace quantserve {
namespace {

double Now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int Main(int argc, char** argv) {
  const auto arg = [&](int i, const char* fallback) {
    return std::string(argc > i ? argv[i] : fallback);
  };
  const int64_t size = std::atoll(arg(1, "32").c_str());
  const int64_t batch = std::atoll(arg(2, "1").c_str());
  EngineOptions options;
  options.ladder = {batch};
  options.threads = std::atoi(arg(3, "1").c_str());
  const std::string precision = arg(4, "int8");
  OneDnnOptions onednn;
  onednn.bf16 = precision == "bf16";
  Plan plan = testing::RandomResNet18(size);
  if (precision == "int8") plan = testing::Quantized(plan);
  const double start = Now();
  auto engine = CompileOneDnn(plan, options, onednn);
  if (!engine.ok()) {
    std::fprintf(stderr, "%s\n", engine.status().ToString().c_str());
    return 1;
  }
  std::vector<std::string> notes;
  std::printf(
      "compiled in %.2f s, %d measurements, weights %.1f MB, arena "
      "%.1f MB, %.1f M MACs\n",
      Now() - start, (*engine)->measurements(),
      (*engine)->info().weight_bytes / 1e6,
      (*engine)->info().context_bytes / 1e6,
      onednn::Optimise(plan, batch, {}, &notes).Macs() / 1e6);
  for (const std::string& note : (*engine)->info().notes) {
    std::printf("note: %s\n", note.c_str());
  }
  auto context = (*engine)->NewContext();
  const auto inputs = testing::RandomInputs(plan, batch, 7);
  std::vector<float> out(batch * (*engine)->outputs()[0].elements());
  std::vector<double> times;
  const double until = Now() + 2;
  while (Now() < until) {
    const double t = Now();
    if (!(*context)->Run(batch, {inputs[0].data()}, {out.data()}).ok()) {
      return 1;
    }
    times.push_back(Now() - t);
  }
  std::sort(times.begin(), times.end());
  std::printf("min %.4f ms, median %.4f ms (%zu runs)\n", times[0] * 1e3,
              times[times.size() / 2] * 1e3, times.size());
  if (argc > 5) {
    double total = 0;
    const auto profile = (*engine)->Profile(batch, 200);
    for (const StepTime& step : *profile) {
      std::printf("%9.2f us  %s\n", step.seconds * 1e6, step.name.c_str());
      total += step.seconds;
    }
    std::printf("%9.2f us  sum\n", total * 1e6);
  }
  return 0;
}

}  // namespace
}  // namespace quantserve

int main(int argc, char** argv) { return quantserve::Main(argc, argv); }
