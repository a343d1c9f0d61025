// The passes that every plan goes through before it is lowered.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "quant/plan/plan.h"

namespace quantserve::onednn {

// Trims, fuses and makes padding explicit. 8-bit products that this processor
// or this oneDNN cannot compute right and fast, and those named in `in_float`,
// are put into FP32; `notes` says which. `batch` is the size that oneDNN is
// asked about.
Plan Optimise(const Plan& plan, int64_t batch,
              const std::set<std::string>& in_float,
              std::vector<std::string>* notes);

}  // namespace quantserve::onednn
