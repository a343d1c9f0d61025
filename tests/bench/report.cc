#include "tests/bench/report.h"

#include <algorithm>
#include <cstdio>
#include <ostream>
#include <utility>

#include "absl/strings/str_cat.h"

namespace quantserve::bench {
namespace {

const Row* Find(const std::vector<Row>& rows, const std::string& model,
                const std::string& precision, const std::string& engine,
                int workers = 1) {
  for (const Row& row : rows) {
    if (row.model == model && row.precision == precision &&
        row.engine == engine && row.batch == 1 && row.threads == 1 &&
        row.workers == workers && row.seconds > 0) {
      return &row;
    }
  }
  return nullptr;
}

double Fraction(const Row& row, double macs, const Peaks& peaks) {
  const auto peak = peaks.find({row.precision, row.threads});
  if (peak == peaks.end() || row.seconds == 0) return 0;
  return macs * static_cast<double>(row.batch) / row.seconds / peak->second;
}

void PrintTarget(const std::string& what, double value, double bound,
                 const char* unit) {
  std::printf("%-66s %6.2f%s  (wants %.2f)  %s\n", what.c_str(), value, unit,
              bound, value >= bound ? "reached" : "MISSED");
}

void PrintRatio(const std::string& what, const Row* slow, const Row* fast,
                double bound) {
  if (slow == nullptr || fast == nullptr) return;
  PrintTarget(what, slow->seconds / fast->seconds, bound, "x");
}

}  // namespace

std::string BenchmarkName(const Row& row) {
  return absl::StrCat(row.model, "/", row.precision, "/", row.engine, "/batch",
                      row.batch, "/threads", row.threads, "/workers",
                      row.workers);
}

// Google Benchmark renamed these members in 1.8. Empty if the run was not
// skipped.
template <typename Run>
auto WhySkipped(const Run& run, int)
    -> decltype(run.error_occurred, std::string()) {
  return run.error_occurred ? absl::StrCat("skipped: ", run.error_message) : "";
}
template <typename Run>
auto WhySkipped(const Run& run, unsigned)
    -> decltype(run.skip_message, std::string()) {
  return run.skipped ? absl::StrCat("skipped: ", run.skip_message) : "";
}

bool CollectingReporter::ReportContext(const Context& context) {
  PrintBasicContext(&GetErrorStream(), context);
  return true;
}

void CollectingReporter::ReportRuns(const std::vector<Run>& runs) {
  for (const Run& run : runs) {
    const std::string& name = run.run_name.function_name;
    if (const std::string why = WhySkipped(run, 0); !why.empty()) {
      GetErrorStream() << name << ": " << why << "\n";
      continue;
    }
    const auto median = run.counters.find(kMedianSeconds);
    if (run.run_type != Run::RT_Iteration || median == run.counters.end()) {
      continue;
    }
    const auto [at, first] = seconds_.emplace(name, median->second.value);
    if (first) GetErrorStream() << name << "\n";
    at->second = std::min<double>(at->second, median->second.value);
  }
}

double CollectingReporter::Seconds(const std::string& name) const {
  const auto at = seconds_.find(name);
  return at == seconds_.end() ? 0 : at->second;
}

void PrintTable(const std::vector<Row>& rows, const Peaks& peaks) {
  std::printf("\n%-12s %-5s %-12s %5s %7s %7s %11s %12s %8s %8s\n", "model",
              "type", "engine", "batch", "threads", "workers", "ms/run",
              "samples/s", "of peak", "(real)");
  for (const Row& row : rows) {
    if (row.seconds == 0) continue;
    std::printf("%-12s %-5s %-12s %5lld %7d %7d %11.4f %12.1f",
                row.model.c_str(), row.precision.c_str(), row.engine.c_str(),
                static_cast<long long>(row.batch), row.threads, row.workers,
                row.seconds * 1e3,
                static_cast<double>(row.batch * row.workers) / row.seconds);
    if (row.workers == 1 && row.macs > 0) {
      std::printf(" %7.1f%% %7.1f%%", 100 * Fraction(row, row.macs, peaks),
                  100 * Fraction(row, row.real_macs, peaks));
    }
    std::printf("\n");
  }
  std::printf(
      "ms/run is the least median of the repetitions. \"of peak\" counts the "
      "multiply-\naccumulates of the plan after taps that only meet padding "
      "are "
      "trimmed; \"(real)\" leaves\nout those that meet padding at single "
      "positions, too. Peaks of large matrix products:\n");
  for (const auto& [key, macs] : peaks) {
    std::printf("  %s, %d thread%s: %.1f GMAC/s\n", key.first.c_str(),
                key.second, key.second == 1 ? "" : "s", macs / 1e9);
  }
}

void PrintTargets(const std::vector<Row>& rows, const Peaks& peaks) {
  const std::string small = "resnet18-32", large = "resnet18-224";
  const Row* int8_small = Find(rows, small, "int8", "onednn");
  const Row* int8_large = Find(rows, large, "int8", "onednn");
  std::printf("\nResNet-18, batch 1, one thread:\n");
  PrintRatio("INT8 at 32 px against INT8 through TorchScript",
             Find(rows, small, "int8", "torchscript"), int8_small, 2.8);
  PrintRatio("INT8 at 32 px against FP32 operator by operator",
             Find(rows, small, "fp32", "operators"), int8_small, 25);
  if (int8_small != nullptr) {
    PrintTarget("INT8 at 32 px, fraction of the VNNI peak",
                Fraction(*int8_small, int8_small->macs, peaks), 0.75, "");
  }
  if (int8_large != nullptr) {
    PrintTarget("INT8 at 224 px, fraction of the VNNI peak",
                Fraction(*int8_large, int8_large->macs, peaks), 0.9, "");
  }
  PrintRatio("FP32 at 32 px against optimize_for_inference",
             Find(rows, small, "fp32", "optimised"),
             Find(rows, small, "fp32", "onednn"), 3);
  PrintRatio("FP32 at 224 px against optimize_for_inference",
             Find(rows, large, "fp32", "optimised"),
             Find(rows, large, "fp32", "onednn"), 1.4);
  const Row* two = Find(rows, small, "int8", "onednn", 2);
  if (two != nullptr && int8_small != nullptr) {
    PrintTarget("INT8 at 32 px, throughput of two workers against one",
                2 * int8_small->seconds / two->seconds, 1.8, "x");
  }
}

}  // namespace quantserve::bench
