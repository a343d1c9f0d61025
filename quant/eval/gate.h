// Whether a quantized variant may be served in place of FP32.
#pragma once

#include <string>

#include "quant/eval/evaluate.h"

namespace quantserve {

struct GateOptions {
  // Labelled shard: the accuracy may be lower than FP32's by this much.
  double max_accuracy_drop = 0.01;
  // No labels: the share of equal top-1 must reach this. Not used for models
  // with one output element.
  double min_agreement = 0.97;
  // No labels and one output element (regressors): the SQNR must reach this.
  double min_sqnr_db = 20;

  absl::Status Validate() const;
};

struct GateDecision {
  bool passed = false;
  std::string reason;  // one line with the numbers, passed or not
};

GateDecision DecideGate(const GateOptions& options, const Evaluation& fp32,
                        const Evaluation& int8, const Comparison& comparison);

}  // namespace quantserve
