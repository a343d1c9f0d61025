// Importers of linear layers. See import_ops.h.
#include <algorithm>
#include <cmath>
#include <string>

#include "quant/torch/import_ops.h"

namespace quantserve {
namespace {

namespace jit = torch::jit;

const jit::Value* Output(const jit::Node* node) { return node->outputs()[0]; }

std::shared_ptr<const Tensor> Share(const at::Tensor& tensor) {
  return std::make_shared<const Tensor>(ToTensor(tensor));
}

// The bias at input `i`: constant, or absent. False if it is anything else.
bool ReadBias(const jit::Node* node, size_t i, const ImportContext& context,
              std::vector<float>* bias) {
  if (context.IsNone(node, i)) return true;
  const auto tensor = context.Constant(node, i);
  if (!tensor || tensor->dim() != 1) return false;
  *bias = ToVector(*tensor);
  return true;
}

bool AppendLinear(const jit::Node* node, const jit::Value* x,
                  const at::Tensor& weight, std::vector<float> bias,
                  ImportContext* context) {
  const auto input = context->Find(x);
  if (!input || weight.dim() != 2 || context->ShapeOf(x).size() < 2) {
    return false;
  }
  Weights weights{Share(weight), {}, std::move(bias)};
  context->Append(OpKind::kLinear, {*input}, Output(node)).weights =
      std::move(weights);
  return true;
}

}  // namespace

// aten::linear(x, w, b)
bool ImportLinear(const jit::Node* node, ImportContext* context) {
  const auto weight = context->Constant(node, 1);
  std::vector<float> bias;
  if (!weight || !ReadBias(node, 2, *context, &bias)) return false;
  return AppendLinear(node, node->input(0), *weight, std::move(bias), context);
}

// aten::addmm(b, x, w^T, beta, alpha)
bool ImportAddmm(const jit::Node* node, ImportContext* context) {
  const auto weight = context->Constant(node, 2);
  const auto bias = context->Constant(node, 0);
  if (!weight || weight->dim() != 2 || !bias || bias->dim() != 1 ||
      bias->size(0) != weight->size(1) || context->Number(node, 3) != 1.0 ||
      context->Number(node, 4) != 1.0) {
    return false;
  }
  return AppendLinear(node, node->input(1), weight->t(), ToVector(*bias),
                      context);
}

// aten::matmul(x, w^T) and aten::mm
bool ImportMatmul(const jit::Node* node, ImportContext* context) {
  const auto weight = context->Constant(node, 1);
  if (!weight || weight->dim() != 2) return false;
  return AppendLinear(node, node->input(0), weight->t(), {}, context);
}

}  // namespace quantserve
