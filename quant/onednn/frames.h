// Model inputs that are quantized straight into the layout that the first
// convolution wants: zero padding made part of the image, three channels
// widened to four.
#pragma once

#include <map>

#include "quant/onednn/kernels.h"
#include "quant/plan/plan.h"

namespace quantserve::onednn {

struct Frame {
  FrameShape shape;
  ValueId image = -1;      // FP32, read by the kQuantize
  ValueId quantized = -1;  // what the kQuantize writes
};

// By the value that the convolution reads: a kQuantize's output, or that of a
// kPad with zeros behind one, which nothing else reads.
using FrameMap = std::map<ValueId, Frame>;
FrameMap FindFrames(const Plan& plan);

}  // namespace quantserve::onednn
