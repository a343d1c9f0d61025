// The document that quant/report shows, from a finished quantization.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "quant/eval/evaluate.h"
#include "quant/pipeline/pipeline.h"
#include "quant/report/quantization_report.h"

namespace quantserve {

// The options in words, as facts of a report.
std::vector<std::pair<std::string, std::string>> OptionFacts(
    const QuantizeOptions& options);

// What was quantized, from what, with which options, versions and processor,
// and what it found out; without variants. The title is the file's name.
ReportDocument DescribeQuantization(const ModelPipeline& pipeline,
                                    const QuantizeOptions& options,
                                    const Shard& shard,
                                    const QuantizationReport& report);

// A row of the comparison; `comparison` with FP32 is absent for FP32 itself.
VariantSummary Summarize(const std::string& name,
                         const CompiledVariant& variant,
                         const Evaluation& evaluation,
                         const std::optional<Comparison>& comparison);

}  // namespace quantserve
