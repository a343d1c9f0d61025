// Whole measurements: warm-up, then windows until the figures have settled, of
// several contenders in turn.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/load/generator.h"
#include "client/load/load.h"
#include "client/load/transport.h"

namespace quantserve {

struct MeasureOptions {
  LoadOptions load;
  absl::Duration warmup = absl::Seconds(1);  // of each contender; not counted
  absl::Duration window = absl::Seconds(1);
  // See StableWindows.
  double tolerance = 0.1;
  int max_windows = 10;
  // More than 0: that many calls to each contender in five rounds, instead of
  // windows; the warm-up is then one call for each client.
  int64_t requests = 0;
};

struct Contender {
  std::string name;
  Transport* transport = nullptr;
};

struct Measurement {
  Load load;        // of the last three windows, or of all rounds
  int windows = 0;  // that were measured
  bool stable = true;
};

// Hears of each window as it ends.
using OnWindow = std::function<void(const std::string& contender, int window,
                                    const Load& load)>;

// Windows of the contenders take turns, so that whatever else the machine does
// hits all alike, and go on until all have settled. One result for each.
std::vector<Measurement> Measure(const std::vector<Contender>& contenders,
                                 const MeasureOptions& options,
                                 const OnWindow& on_window = nullptr,
                                 LoadClock* clock = &RealLoadClock());

}  // namespace quantserve
