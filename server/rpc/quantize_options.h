// How to quantize, as the configuration file and requests say it.
#pragma once

#include "absl/status/status.h"
#include "quant/pipeline/pipeline.h"
#include "quantserve/v1/config.pb.h"
#include "quantserve/v1/quantization.pb.h"

namespace quantserve {

// Sets what the message says and leaves the rest as it is, `ranges`, `samples`
// and `force` too, then validates. INVALID_ARGUMENT, naming the option.
absl::Status OverlayOptions(const v1::ServerConfig& config,
                            QuantizeOptions* options);
absl::Status OverlayOptions(const v1::QuantizeRequest& request,
                            QuantizeOptions* options);

}  // namespace quantserve
