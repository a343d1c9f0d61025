// The report that a Quantize may ask for.
#pragma once

#include "quant/report/quantization_report.h"
#include "quantserve/v1/quantization.pb.h"
#include "server/core/metrics.h"
#include "server/core/model_host.h"
#include "server/core/quantization_run.h"

namespace quantserve {

// Everything about a run that got as far as its gate. Names stand where other
// reports have paths: callers are not told the server's folders.
ReportDocument MakeReportDocument(const BuildFacts& build,
                                  const ModelHost& model,
                                  const QuantizationRun& run);

// Adds the document as a page and as JSON. One that is larger than a message
// can be is left out, and a note says so.
void EncodeDocument(const ReportDocument& document, v1::QuantizeResult* out);

}  // namespace quantserve
