// Whether a quantization kept to its budget.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "quant/report/quantization_report.h"

namespace quantserve {

// FAILED_PRECONDITION, "budget not reachable: …", with what was wanted and what
// was achieved, if a budget was asked for and not kept.
inline absl::Status BudgetStatus(const QuantizationReport& report) {
  if (!report.budget || report.budget->reached) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("budget not reachable: wanted ", report.budget->wanted,
                   "; the best found is ", report.budget->achieved));
}

}  // namespace quantserve
