// Which 8-bit grid each value of a plan gets.
#pragma once

#include <map>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/plan/plan.h"
#include "quant/plan/quantize_plan.h"

namespace quantserve {

using Grids = std::map<ValueId, QuantParams>;

// `quantized[i]` says whether node i runs on 8 bits. Gives a grid to every
// value that such a node reads or writes. Values that nodes merely move around
// (pooling, slicing, concatenation …) share the grid of the hull of the ranges
// that flow into them. FAILED_PRECONDITION if a range is missing.
absl::StatusOr<Grids> ChooseGrids(const Plan& plan,
                                  const std::vector<bool>& quantized,
                                  const RangeMap& ranges,
                                  const QuantizePlanOptions& options);

}  // namespace quantserve
