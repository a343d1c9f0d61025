// One servable form of the model, as requests hold it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "quant/engine/engine.h"
#include "quant/eval/evaluate.h"
#include "quant/eval/gate.h"
#include "quant/pipeline/pipeline.h"
#include "server/core/compute_estimate.h"
#include "server/core/variant_id.h"

namespace quantserve {

class ModelMetrics;

// How a variant did on the samples that its gate looked at.
struct Scores {
  std::string shard;
  Evaluation evaluation;                 // without the outputs
  std::optional<Comparison> comparison;  // with FP32; none for FP32 itself
  std::optional<GateDecision> gate;      // none for FP32
};

// Immutable once published; thread-safe, contexts excepted.
struct ServedVariant {
  VariantId id = VariantId::kFp32;
  int64_t generation = 1;
  CompiledVariant compiled;
  Scores scores;
  absl::Time published;
  // One for each worker, which alone touches it. They live here so that they
  // are never older than their engine and go when the variant goes.
  std::vector<std::unique_ptr<ExecutionContext>> contexts;

  // The shadow thread's, which makes it when it first needs it.
  mutable std::unique_ptr<ExecutionContext> shadow_context;

  // What its batches take; thread-safe.
  std::unique_ptr<ComputeEstimate> estimate;
  ModelMetrics* metrics = nullptr;  // of its model; may be null

  const Engine& engine() const { return *compiled.engine; }
  const char* name() const { return VariantName(id); }
};

// A variant ready to be published: contexts made, each batch size run once in
// each of them and its time taken. The engine's error
// if one can't be made or does not run.
absl::StatusOr<std::unique_ptr<ServedVariant>> MakeServedVariant(
    VariantId id, int64_t generation, CompiledVariant compiled, Scores scores,
    int workers);

}  // namespace quantserve
