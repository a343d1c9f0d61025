// One small importer for each operator that plans know. Each appends a plan
// node for `node` and returns true, or changes nothing and returns false where
// the operator is not in a form that plans know.
#pragma once

#include "quant/torch/import_context.h"

namespace quantserve {

bool ImportConv2d(const torch::jit::Node* node, ImportContext* context);
bool ImportLinear(const torch::jit::Node* node, ImportContext* context);
bool ImportAddmm(const torch::jit::Node* node, ImportContext* context);
bool ImportMatmul(const torch::jit::Node* node, ImportContext* context);
bool ImportBatchNorm(const torch::jit::Node* node, ImportContext* context);
bool ImportMaxPool(const torch::jit::Node* node, ImportContext* context);
bool ImportAvgPool(const torch::jit::Node* node, ImportContext* context);
bool ImportAdaptiveAvgPool(const torch::jit::Node* node,
                           ImportContext* context);
bool ImportMean(const torch::jit::Node* node, ImportContext* context);

}  // namespace quantserve
