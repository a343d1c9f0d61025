// A small residual network as a TorchScript module, made without Python.
//
// The module is trained as it stands and saved as it stands: there is one
// definition of the network, in TorchScript. Everything here may throw what
// LibTorch throws.
#pragma once

#include <torch/script.h>

namespace quantserve {

// Input [N,3,32,32], output [N,classes] logits: a 3x3 convolution, three stages
// of residual blocks with 16, 32 and 64 channels, global average pooling and
// one fully connected layer; BatchNorm behind every convolution. Weights are
// drawn from LibTorch's global generator (torch::manual_seed). In training
// mode; call eval() before saving.
torch::jit::Module MakeDemoNetwork(int64_t classes);

}  // namespace quantserve
