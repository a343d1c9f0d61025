// Accuracy and latency of an engine on a shard, and how close two are.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "quant/base/job_control.h"
#include "quant/data/shard.h"
#include "quant/engine/engine.h"

namespace quantserve {

struct EvaluateOptions {
  int64_t first = 0;    // first sample
  int64_t samples = 0;  // 0: all from `first` on
  int64_t batch = 1;    // samples in one run; latency is for each sample
};

struct Evaluation {
  int64_t samples = 0;
  int64_t correct = 0;
  std::optional<double> accuracy;  // none: the shard has no labels
  absl::Duration latency_p50;      // of one sample: run time / batch
  absl::Duration latency_p99;
  int64_t outputs_per_sample = 0;
  std::vector<float>
      outputs;  // [samples, outputs_per_sample], the first output
};

// Runs the engine's first output over the shard with a context of its own.
// Inputs that are not the shard's, in number or shape, or a label at or above
// the number of outputs give INVALID_ARGUMENT. Reports
// progress in phase "evaluate". Thread-safe.
absl::StatusOr<Evaluation> Evaluate(const Engine& engine, const Shard& shard,
                                    const Preprocessing& preprocessing,
                                    const EvaluateOptions& options,
                                    const JobControl& control);

// Counts the samples whose largest output is at their label: sets `correct` and
// `accuracy`. There are at least `samples` labels.
void CountCorrect(absl::Span<const int64_t> labels, Evaluation* evaluation);

struct Comparison {
  // Share of samples with the same largest output; 1 where outputs have one
  // element.
  double agreement = 0;
  // 20 * log10(|y| / |y - y'|) over all samples; infinity if equal.
  double sqnr_db = 0;
};

// What a comparison is made of, sample by sample.
struct ComparisonSums {
  int64_t samples = 0;
  int64_t agreeing = 0;  // with the same largest element
  double signal = 0;     // sum of y^2
  double noise = 0;      // sum of (y - y')^2

  // One sample's first outputs, y and y', of the same size.
  void Add(absl::Span<const float> baseline, absl::Span<const float> candidate);
  void Add(const ComparisonSums& other);
  // At least one sample was added.
  Comparison Get() const;
};

// Compares `candidate` with `baseline`, evaluated on the same samples.
// INVALID_ARGUMENT if the sizes differ.
absl::StatusOr<Comparison> Compare(const Evaluation& baseline,
                                   const Evaluation& candidate);

}  // namespace quantserve
