// What a plan means, in plain C++: the oracle that engines and graph passes are
// tested against. Exact before fast, but a ResNet-18 on 32 x 32 pixels takes
// well under a second. No LibTorch (islands bring their own), no oneDNN.
//
// Each node is the real function of the real numbers that its inputs stand for.
// Sums of products run over whole numbers for 8-bit inputs, exact in double,
// and over doubles for FP32 inputs. Then the fused clamp, then one rounding:
// to float, or, for an 8-bit output, half to even onto its grid with
// saturation:
//   q = min(max(nearbyint(real / scale) + zero_point, 0), 255)
// so 2.5 becomes 2 and 3.5 becomes 4 on a grid of scale 1.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "quant/plan/plan.h"
#include "quant/tensor/tensor.h"

namespace quantserve {

// `real` on the grid of `params`, half to even, saturated. NaN becomes the
// zero point.
uint8_t QuantizeReal(double real, const QuantParams& params);

// Runs `plan` on a batch: inputs[i] holds the batch of plan.inputs[i],
// row-major. Returns every value of the plan, indexed by ValueId: kU8 where the
// value carries QuantParams, else kF32, shapes with the batch.
// INVALID_ARGUMENT if the batch is not positive or the number of inputs is
// wrong; what an island returns otherwise.
absl::StatusOr<std::vector<Tensor>> RunReferenceValues(
    const Plan& plan, int64_t batch, absl::Span<const float* const> inputs);

// The same, for the plan's outputs only; outputs[i] holds the batch of
// plan.outputs[i].
absl::Status RunReference(const Plan& plan, int64_t batch,
                          absl::Span<const float* const> inputs,
                          absl::Span<float* const> outputs);

}  // namespace quantserve
