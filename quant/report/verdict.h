// What a quantization came to, in a sentence.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "quant/report/quantization_report.h"

namespace quantserve::report {

// Which variants are compared: the first called "fp32" and the first called
// "int8", else the first whose name begins so; nullptr where there is none.
struct Compared {
  const VariantSummary* fp32 = nullptr;
  const VariantSummary* int8 = nullptr;
};
Compared ComparedVariants(const ReportDocument& document);

// How many times as fast (small) INT8 is as FP32; none if either is unknown.
std::optional<double> SpeedUp(const Compared& compared);
std::optional<double> Shrinkage(const Compared& compared);

// "The INT8 model is right in 91.54 % of the samples (FP32: 91.64 %), answers
// 3.4× as fast, …". Plain text; says only what was measured.
std::string VerdictSentence(const ReportDocument& document);

// The top of the page: the sentence, whether the budget was reached, and the
// numbers behind it. Markup.
std::string VerdictHtml(const ReportDocument& document);

}  // namespace quantserve::report
