// Names the phases of a job and remembers how long each took.
#pragma once

#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "quant/report/quantization_report.h"

namespace quantserve {

// Not thread-safe.
class PhaseClock {
 public:
  // Phases go to the end of `report->phases`.
  explicit PhaseClock(QuantizationReport* report) : report_(*report) {}
  // Ends the phase before.
  void Begin(std::string phase) {
    End();
    phase_ = std::move(phase);
    start_ = absl::Now();
  }
  void End() {
    if (!phase_.empty()) {
      report_.phases.emplace_back(phase_, absl::Now() - start_);
    }
    phase_.clear();
  }

 private:
  QuantizationReport& report_;
  std::string phase_;
  absl::Time start_;
};

}  // namespace quantserve
