// Clean-up of imported plans. All keep what the plan computes.
#pragma once

#include "quant/plan/plan.h"

namespace quantserve {

// Moves each kReshape behind the elementwise nodes that read it, and joins
// those that follow one another: what stands around every layer of a network in
// one dimension is gone, and clamps come to stand behind their layers.
void SinkReshapes(Plan* plan);

// Moves each kClamp into the kConv2d, kLinear or kAdd before it, where nothing
// else reads that node's output.
void FuseClamps(Plan* plan);

// Removes nodes whose outputs nobody reads, and values nobody knows.
void RemoveUnread(Plan* plan);

}  // namespace quantserve
