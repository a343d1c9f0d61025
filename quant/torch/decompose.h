// Fused operators taken apart into what can be quantized.
#pragma once

#include <torch/csrc/jit/ir/ir.h>

namespace quantserve {

// Replaces the fast paths of PyTorch's attention and encoder layers
// (aten::_native_multi_head_attention, aten::_transformer_encoder_layer_fwd) by
// the products, softmaxes and norms that they compute, where they have no mask
// and attend to themselves. Whether anything changed. Throws.
bool DecomposeAttention(torch::jit::Graph* graph);

}  // namespace quantserve
