#include "quant/eval/gate.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace quantserve {
namespace {

// A drop of exactly the limit passes in spite of the subtraction's rounding.
constexpr double kRounding = 1e-9;

absl::Status CheckShare(const char* name, double value) {
  if (value >= 0 && value <= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", value, ", expected 0 to 1"));
}

GateDecision ByAccuracy(double limit, const Evaluation& fp32,
                        const Evaluation& int8) {
  const double drop = *fp32.accuracy - *int8.accuracy;
  const bool passed = drop <= limit + kRounding;
  return {passed,
          absl::StrFormat("accuracy %.4f against %.4f in fp32 on %d samples: "
                          "a drop of %.4f is %s %.4f",
                          *int8.accuracy, *fp32.accuracy, int8.samples, drop,
                          passed ? "within" : "more than", limit)};
}

GateDecision ByAgreement(double limit, int64_t samples,
                         const Comparison& comparison) {
  const bool passed = comparison.agreement >= limit;
  return {passed,
          absl::StrFormat("top-1 agreement with fp32 %.4f on %d samples "
                          "without labels is %s %.4f",
                          comparison.agreement, samples,
                          passed ? "at least" : "below", limit)};
}

GateDecision BySqnr(double limit, int64_t samples,
                    const Comparison& comparison) {
  const bool passed = comparison.sqnr_db >= limit;
  return {passed,
          absl::StrFormat("sqnr to fp32 %.1f dB on %d samples without labels "
                          "is %s %.1f dB",
                          comparison.sqnr_db, samples,
                          passed ? "at least" : "below", limit)};
}

}  // namespace

absl::Status GateOptions::Validate() const {
  absl::Status status = CheckShare("max_accuracy_drop", max_accuracy_drop);
  if (status.ok()) status = CheckShare("min_agreement", min_agreement);
  if (status.ok() && !(min_sqnr_db >= -1000 && min_sqnr_db <= 1000)) {
    status = absl::InvalidArgumentError(absl::StrCat(
        "min_sqnr_db is ", min_sqnr_db, ", expected -1000 to 1000"));
  }
  return status;
}

GateDecision DecideGate(const GateOptions& options, const Evaluation& fp32,
                        const Evaluation& int8, const Comparison& comparison) {
  if (int8.samples <= 0 || int8.samples != fp32.samples) {
    return {false, absl::StrFormat("%d samples were evaluated in int8 and %d "
                                   "in fp32, expected the same, at least one",
                                   int8.samples, fp32.samples)};
  }
  if (fp32.accuracy && int8.accuracy) {
    return ByAccuracy(options.max_accuracy_drop, fp32, int8);
  }
  if (int8.outputs_per_sample > 1) {
    return ByAgreement(options.min_agreement, int8.samples, comparison);
  }
  return BySqnr(options.min_sqnr_db, int8.samples, comparison);
}

}  // namespace quantserve
