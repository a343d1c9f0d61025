// Clean-up of imported plans. Both keep what the plan computes.
#pragma once

#include "quant/plan/plan.h"

namespace quantserve {

// Moves each kClamp into the kConv2d, kLinear or kAdd before it, where nothing
// else reads that node's output.
void FuseClamps(Plan* plan);

// Removes nodes whose outputs nobody reads, and values nobody knows.
void RemoveUnread(Plan* plan);

}  // namespace quantserve
