// Collects what Google Benchmark measured and prints it as one table, with the
// fraction of the machine's peak that each row reached.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"

namespace quantserve::bench {

// One way of running one model.
struct Row {
  std::string model;      // "resnet18-32"
  std::string precision;  // "fp32", "bf16", "int8"
  std::string engine;     // "onednn", "torchscript", "operators", …
  int64_t batch = 1;
  int threads = 1;       // of each worker
  int workers = 1;       // contexts that run at the same time
  double macs = 0;       // of one sample
  double real_macs = 0;  // without those that meet padding
  double seconds = 0;    // of one run: the least median of the repetitions
};

// Peaks in multiply-accumulates a second, by precision and threads.
using Peaks = std::map<std::pair<std::string, int>, double>;

std::string BenchmarkName(const Row& row);

// The counter in which a benchmark leaves the median seconds of its iterations:
// most of them are not interrupted, even where other programs run.
constexpr char kMedianSeconds[] = "median_s";

// Says on stderr how far the run is and remembers the least median of each
// name.
class CollectingReporter : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context& context) override;
  void ReportRuns(const std::vector<Run>& runs) override;
  // 0 if there was no such benchmark.
  double Seconds(const std::string& name) const;

 private:
  std::map<std::string, double> seconds_;
};

void PrintTable(const std::vector<Row>& rows, const Peaks& peaks);

// The comparisons that the engine is held to, each with its bound.
void PrintTargets(const std::vector<Row>& rows, const Peaks& peaks);

}  // namespace quantserve::bench
