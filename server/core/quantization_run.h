// What a quantization or an evaluation was asked for, and what came of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "quant/engine/engine.h"
#include "quant/eval/evaluate.h"
#include "quant/eval/gate.h"
#include "quant/pipeline/pipeline.h"

namespace quantserve {

// Complete: defaults are filled in.
struct QuantizeSpec {
  // `samples` are those wanted, before some are held out. `force` is what a
  // request without reuse_artifact asks for.
  QuantizeOptions options;
  std::string shard;  // a name in the shard store
  bool dry_run = false;
  bool hold = false;  // as the candidate, not published
};

// A finished run. What it did not get as far as is absent.
struct QuantizationRun {
  QuantizeSpec spec;
  absl::Time started;
  absl::Duration duration;
  // OK: published, or would have been but for dry_run. FAILED_PRECONDITION: the
  // gate refused, or the budget was not kept. CANCELLED, or what went wrong.
  absl::Status status;
  bool published = false;
  bool held = false;       // it is the candidate
  int64_t generation = 0;  // of the new variant, if published or held
  std::optional<QuantizationReport> report;
  std::string evaluated_on;        // the shard's name
  std::optional<Evaluation> fp32;  // without outputs
  std::optional<Evaluation> int8;  // without outputs
  std::optional<Comparison> comparison;
  std::optional<GateDecision> gate;
  std::string shard_sha256;
  std::string fp32_engine;
  std::optional<EngineInfo> engine;
  std::vector<EngineTiming> timings;
  int64_t fp32_size_bytes = 0;
  int64_t int8_size_bytes = 0;
};

// Whether the result was good for nothing but its numbers: the gate or the
// budget refused it.
inline bool WasRefused(const QuantizationRun& run) {
  return run.gate.has_value() && absl::IsFailedPrecondition(run.status);
}

struct EvaluateSpec {
  std::string variant;  // empty: the routing policy's
  std::string shard;    // a name in the shard store
  int64_t samples = 0;  // 0: all
};

struct EvaluationOutcome {
  std::string variant;
  int64_t generation = 0;
  std::string shard;
  Evaluation evaluation;                 // without outputs
  std::optional<Comparison> comparison;  // with FP32; none for FP32 itself
};

}  // namespace quantserve
