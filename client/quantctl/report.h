// The server's reports as tables.
#pragma once

#include <string>

#include "quantserve/v1/quantization.pb.h"

namespace quantserve {

std::string QuantizeText(const v1::QuantizeResult& result, bool layers);
// The same in one line, where many servers are asked.
std::string QuantizeLine(const v1::QuantizeResult& result);
std::string RoutingText(const v1::Routing& routing);
std::string StatusText(const v1::GetStatusResponse& status);
std::string EvaluateText(const v1::EvaluateResponse& response);

}  // namespace quantserve
