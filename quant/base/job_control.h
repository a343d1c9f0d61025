// How a long computation reports progress and is told to stop.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"

namespace quantserve {

// "samples done of total" within a phase. Phases of a quantization, in order:
// "load", "ranges", "histograms", "search" (trials on held-out samples; comes
// back after each of the next two), "equalize" (then "ranges" and "histograms"
// once more), "bias", "budget", "convert", "compile", "layers", "evaluate".
// Those that a quantization has no use for are left out.
struct Progress {
  std::string phase;
  int64_t done = 0;
  int64_t total = 0;
};

// Passed by const reference down a long computation. Both functions may be
// empty; they are called from the computing thread, often, and must be cheap.
struct JobControl {
  std::function<void(const Progress&)> on_progress;
  std::function<bool()> cancelled;

  // Reports progress, then returns CANCELLED if the job is to stop.
  absl::Status Report(const std::string& phase, int64_t done,
                      int64_t total) const {
    if (on_progress) on_progress({phase, done, total});
    if (cancelled && cancelled()) return absl::CancelledError("job cancelled");
    return absl::OkStatus();
  }
};

}  // namespace quantserve
