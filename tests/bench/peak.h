// How many multiply-accumulates this machine can do in a second: the yardstick
// of the benchmarks, measured in the same run.
#pragma once

#include "absl/status/statusor.h"

namespace quantserve::bench {

enum class Precision { kFp32, kBf16, kInt8 };

// The fastest of several large matrix products on `threads` threads, each with
// the fastest kernel that oneDNN has for it. FAILED_PRECONDITION if the
// processor cannot multiply in this precision.
absl::StatusOr<double> PeakMacsPerSecond(Precision precision, int threads);

}  // namespace quantserve::bench
