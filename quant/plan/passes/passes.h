// Plan-to-plan rewrites that make a plan cheaper to run. Each takes a valid
// plan and returns a valid plan with the same inputs and outputs. "Exact" means
// that every remaining value is the same, bit for bit; the others say what
// changes. Weights that do not change are shared with the plan given.
// Thread-safe.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "quant/plan/plan.h"

namespace quantserve {

// Drops the rows and columns of a convolution's window that only ever meet
// padding: a 3x3 with padding 1 on a 1x1 map is a 1x1. Exact.
Plan TrimPaddingTaps(Plan plan);

// kConv2d or kLinear, read only by a kAdd: the other operand becomes the
// product's second input, added before its clamp. In a quantized plan the
// product is no longer rounded before the addition, so the sum may differ by a
// step: it is nearer to the real numbers.
Plan FuseResidualAdds(Plan plan);

// An 8-bit node of one of the `kinds` (kConv2d, kLinear), read only by a
// kDequantize, writes FP32 itself. Its output is no longer rounded onto a grid.
Plan FuseDequantize(Plan plan, const std::set<OpKind>& kinds);

// A kConv2d that pads an 8-bit input whose zero point is not 0 gets a kPad
// before it, so that an engine can fold the zero point into the bias. Exact.
Plan MakePaddingExplicit(Plan plan);

// The 8-bit kConv2d and kLinear nodes of these names compute in FP32: their
// inputs dequantized, their outputs quantized. Differs by the rounding of FP32
// sums, so at most by a step.
Plan EmulateInFloat(Plan plan, const std::set<std::string>& nodes);

// For each value, whether an engine should hold it as s8: an 8-bit value with
// zero point 128 that no product reads as its first input, not even through
// nodes that only move bytes (oneDNN is faster on u8 there).
std::vector<bool> HeldSigned(const Plan& plan);

}  // namespace quantserve
