// The parts of the page, in the order in which a person asks. Each is markup,
// and empty where there is nothing to show.
#pragma once

#include <string>

#include "quant/report/quantization_report.h"

namespace quantserve::report {

std::string VariantsSection(const ReportDocument& document);
// Signal to noise along the layers.
std::string SqnrSection(const QuantizationReport& report);
// Where the multiply-accumulates and the time go.
std::string ComputeSection(const QuantizationReport& report);
// What stays in FP32 and why.
std::string IslandsSection(const QuantizationReport& report);
std::string LayersSection(const QuantizationReport& report);
std::string HistogramsSection(const QuantizationReport& report);
std::string TrialsSection(const QuantizationReport& report);
std::string FactsSection(const ReportDocument& document);

// The style sheet and the script, as they stand in the page.
extern const char kStyle[];
extern const char kScript[];

// Sum of the layers' multiply-accumulates that are positive.
double TotalMacs(const QuantizationReport& report);
// The sum of a time over the layers that have it; zero if none does.
absl::Duration TotalTime(const QuantizationReport& report,
                         std::optional<absl::Duration> LayerReport::*time);

}  // namespace quantserve::report
