#include "quant/onednn/frames.h"

#include <vector>

namespace quantserve::onednn {
namespace {

// oneDNN's 8-bit kernels take channels four at a time.
constexpr int64_t kQuad = 4;

bool PadsZerosAroundImage(const Node& node) {
  const auto& pad = std::get<PadAttrs>(node.attrs);
  return pad.value == 0 && pad.before.size() == 4 && pad.before[1] == 0 &&
         pad.after[1] == 0;
}

}  // namespace

FrameMap FindFrames(const Plan& plan) {
  std::vector<const Node*> writer(plan.values.size(), nullptr);
  for (const Node& node : plan.nodes) {
    for (ValueId id : node.outputs) writer[id] = &node;
  }
  const std::vector<int> readers = CountReaders(plan);
  FrameMap frames;
  for (const Node& conv : plan.nodes) {
    if (conv.kind != OpKind::kConv2d ||
        std::get<Conv2dAttrs>(conv.attrs).groups != 1) {
      continue;
    }
    const ValueId read = conv.inputs[0];
    if (!plan.value(read).quant || readers[read] != 1) continue;
    const Node* node = writer[read];
    Frame frame;
    if (node != nullptr && node->kind == OpKind::kPad &&
        PadsZerosAroundImage(*node) && readers[node->inputs[0]] == 1 &&
        plan.value(node->inputs[0]).quant == plan.value(read).quant) {
      const auto& pad = std::get<PadAttrs>(node->attrs);
      frame.shape.pad_top = pad.before[2];
      frame.shape.pad_left = pad.before[3];
      frame.shape.pad_bottom = pad.after[2];
      frame.shape.pad_right = pad.after[3];
      node = writer[node->inputs[0]];
    }
    if (node == nullptr || node->kind != OpKind::kQuantize) continue;
    frame.image = node->inputs[0];
    frame.quantized = node->outputs[0];
    const Shape& image = plan.value(frame.image).shape;
    frame.shape.channels = image[1];
    frame.shape.height = image[2];
    frame.shape.width = image[3];
    frame.shape.frame_channels = image[1] == 3 ? kQuad : image[1];
    if (image[1] > kQuad) continue;  // the loop is made for images
    frames[read] = frame;
  }
  return frames;
}

}  // namespace quantserve::onednn
