// The demo's model: trained, saved, and measured as a user would measure it.
// LibTorch's exceptions end here.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "quant/demo/demo_files.h"
#include "quant/demo/train.h"

namespace quantserve {

// Trains the network and writes it to `path` as a TorchScript file.
absl::Status TrainDemoModel(
    const DemoOptions& options,
    const std::function<void(const TrainProgress&)>& report,
    const std::string& path);

// The accuracy of a TorchScript file on a labelled shard of demo images, both
// read from their files.
absl::StatusOr<double> MeasureDemoModel(const std::string& model_path,
                                        const std::string& shard_path);

}  // namespace quantserve
