// Which engine serves a variant: measured, not guessed.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/pipeline/pipeline.h"

namespace quantserve {

struct EngineCandidate {
  std::string engine;
  std::function<absl::StatusOr<std::unique_ptr<Engine>>()> compile;
  // Where compiling for the whole batch ladder is wasteful for one that may
  // lose: the same, for batch 1 only. Empty: `compile` does for both.
  std::function<absl::StatusOr<std::unique_ptr<Engine>>()> compile_probe =
      nullptr;
};

struct SelectionOptions {
  // Whole samples of each input that every candidate runs, one at a time.
  std::vector<std::vector<float>> probe;
  int64_t probe_samples = 0;
  // A candidate whose first output's SQNR against the first candidate's is
  // lower computes something else and is rejected.
  double min_sqnr_db = 0;
};

// Compiles every candidate, compares its outputs with those of the first that
// compiles (the oracle comes first), and keeps the fastest at batch 1 among
// those that agree. INTERNAL with all reasons if none compiles.
absl::StatusOr<CompiledVariant> SelectEngine(
    const std::vector<EngineCandidate>& candidates,
    const SelectionOptions& options);

}  // namespace quantserve
