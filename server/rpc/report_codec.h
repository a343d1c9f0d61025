// The core's reports as the wire contract has them.
#pragma once

#include "quantserve/v1/quantization.pb.h"
#include "server/core/quantization_run.h"
#include "server/core/variant.h"
#include "server/rpc/call.h"

namespace quantserve {

void EncodeRouting(const ModelHost& host, v1::Routing* out);
void EncodeProgress(const Progress& progress, v1::Progress* out);
void EncodeRun(const QuantizationRun& run, v1::QuantizeResult* out);
void EncodeOutcome(const EvaluationOutcome& outcome, v1::EvaluateResponse* out);
// Everything that GetStatus tells of `model`, or of all of them if it is null.
void EncodeStatus(const RpcEnvironment& env, const ModelHost* model,
                  v1::GetStatusResponse* out);

}  // namespace quantserve
