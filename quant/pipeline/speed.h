// What a quantization gains in time: of the whole, and of each layer.
#pragma once

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "quant/pipeline/pipeline.h"
#include "quant/report/quantization_report.h"

namespace quantserve {

// The latency of the engine that was chosen; zero if none was timed.
absl::Duration LatencyOf(const CompiledVariant& variant);

// Adds to the budget's report whether INT8 is `min_speedup` times as fast as
// FP32 at batch 1.
void JudgeSpeed(double min_speedup, const CompiledVariant& fp32,
                const CompiledVariant& int8, QuantizationReport* report);

enum class LayerTime { kFp32, kInt8 };

// Fills in the layers' times from an engine that can tell them apart (onednn);
// does nothing for one that cannot. A layer that is computed together with
// another has no time of its own.
absl::Status FillTimes(const Engine& engine, LayerTime which,
                       QuantizationReport* report);

}  // namespace quantserve
