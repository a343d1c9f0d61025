// Whether a measurement has settled.
#pragma once

#include <vector>

#include "absl/time/time.h"

namespace quantserve {

struct WindowFigures {
  double rate = 0;  // answers a second
  absl::Duration latency;
};

// As perf_analyzer does it: settled once the last three windows agree, each
// figure of each within `tolerance` (0.1: 10 %) of the three's mean. Windows
// without answers never agree. Not thread-safe.
class StableWindows {
 public:
  static constexpr int kAgreeing = 3;

  // `at_most` >= 3: after so many windows it is over, settled or not.
  StableWindows(double tolerance, int at_most)
      : tolerance_(tolerance), at_most_(at_most) {}

  void Add(WindowFigures window) { windows_.push_back(window); }

  bool stable() const;
  bool over() const {
    return stable() || static_cast<int>(windows_.size()) >= at_most_;
  }

 private:
  const double tolerance_;
  const int at_most_;
  std::vector<WindowFigures> windows_;
};

}  // namespace quantserve
