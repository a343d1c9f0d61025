// One small importer for each operator that plans know. Each appends a plan
// node for `node` and returns true, or changes nothing and returns false where
// the operator is not in a form that plans know.
#pragma once

#include "quant/torch/import_context.h"

namespace quantserve {

bool ImportConvolution(const torch::jit::Node* node, ImportContext* context);
bool ImportTransposed(const torch::jit::Node* node, ImportContext* context);
bool ImportLinear(const torch::jit::Node* node, ImportContext* context);
bool ImportAddmm(const torch::jit::Node* node, ImportContext* context);
bool ImportMatmul(const torch::jit::Node* node, ImportContext* context);
bool ImportBatchNorm(const torch::jit::Node* node, ImportContext* context);
bool ImportMaxPool(const torch::jit::Node* node, ImportContext* context);
bool ImportAvgPool(const torch::jit::Node* node, ImportContext* context);
bool ImportAdaptiveAvgPool(const torch::jit::Node* node,
                           ImportContext* context);
bool ImportMean(const torch::jit::Node* node, ImportContext* context);
bool ImportReshape(const torch::jit::Node* node, ImportContext* context);
bool ImportPermute(const torch::jit::Node* node, ImportContext* context);
bool ImportCat(const torch::jit::Node* node, ImportContext* context);
bool ImportSlice(const torch::jit::Node* node, ImportContext* context);
bool ImportNarrow(const torch::jit::Node* node, ImportContext* context);
bool ImportSelect(const torch::jit::Node* node, ImportContext* context);
bool ImportGetItem(const torch::jit::Node* node, ImportContext* context);
bool ImportPad(const torch::jit::Node* node, ImportContext* context);

// x and a constant that has one number for each index of one dimension (or one
// number in all).
struct Affine {
  enum Kind { kAdd, kSubtract, kMultiply, kDivide } kind;
  size_t x;  // inputs of the node
  size_t constant;
};
// Folded into the layer before it, else a depthwise 1x1 convolution.
bool ImportAffine(const torch::jit::Node* node, const Affine& affine,
                  ImportContext* context);

// y = x * factor[i] + shift[i], i being the index along `dim` of input 0:
// folded into the layer that computes x if nobody else reads x, else a
// depthwise 1x1 convolution where x is [N,C,...] and `dim` is 1. False if it is
// neither.
bool AppendAffine(const torch::jit::Node* node, const torch::jit::Value* x,
                  int64_t dim, const std::vector<float>& factor,
                  const std::vector<float>& shift, ImportContext* context);

}  // namespace quantserve
