#include "quant/torch/decompose.h"

#include <torch/csrc/jit/api/compilation_unit.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/jit.h>

#include <string>

namespace quantserve {
namespace {

namespace jit = torch::jit;

// x is [N, T, C]; `qkv` is one product for queries, keys and values, in this
// order (torch/nn/modules/activation.py, MultiheadAttention).
constexpr char kSource[] = R"(
def attention(x: Tensor, heads: int, qkv_weight: Tensor, qkv_bias: Tensor,
              out_weight: Tensor, out_bias: Tensor):
    n, t, c = x.size(0), x.size(1), x.size(2)
    d = c // heads
    qkv = torch.linear(x, qkv_weight, qkv_bias)
    q = torch.slice(qkv, 2, 0, c)
    k = torch.slice(qkv, 2, c, 2 * c)
    v = torch.slice(qkv, 2, 2 * c, 3 * c)
    q = torch.permute(torch.reshape(q, [n, t, heads, d]), [0, 2, 1, 3])
    k = torch.permute(torch.reshape(k, [n, t, heads, d]), [0, 2, 3, 1])
    v = torch.permute(torch.reshape(v, [n, t, heads, d]), [0, 2, 1, 3])
    weights = torch.softmax(torch.matmul(q, k) * (float(d) ** -0.5), -1)
    mixed = torch.permute(torch.matmul(weights, v), [0, 2, 1, 3])
    mixed = torch.reshape(mixed, [n, t, c])
    return torch.linear(mixed, out_weight, out_bias)

def grow(x: Tensor, use_gelu: bool, w1: Tensor, b1: Tensor):
    x = torch.linear(x, w1, b1)
    if use_gelu:
        x = torch.gelu(x)
    else:
        x = torch.relu(x)
    return x

def encoder(x: Tensor, heads: int, qkv_weight: Tensor, qkv_bias: Tensor,
            out_weight: Tensor, out_bias: Tensor, use_gelu: bool,
            norm_first: bool, eps: float, g1: Tensor, h1: Tensor, g2: Tensor,
            h2: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor):
    c = [x.size(2)]
    if norm_first:
        y = torch.layer_norm(x, c, g1, h1, eps)
        x = x + attention(y, heads, qkv_weight, qkv_bias, out_weight, out_bias)
        y = torch.layer_norm(x, c, g2, h2, eps)
        x = x + torch.linear(grow(y, use_gelu, w1, b1), w2, b2)
    else:
        x = x + attention(x, heads, qkv_weight, qkv_bias, out_weight, out_bias)
        x = torch.layer_norm(x, c, g1, h1, eps)
        x = x + torch.linear(grow(x, use_gelu, w1, b1), w2, b2)
        x = torch.layer_norm(x, c, g2, h2, eps)
    return x
)";

const jit::Graph& Replacement(const char* name) {
  static auto* unit = [] {
    auto* compiled =
        new std::shared_ptr<jit::CompilationUnit>(jit::compile(kSource));
    for (const char* function : {"attention", "encoder"}) {
      jit::Inline(
          *jit::toGraphFunction((*compiled)->get_function(function)).graph());
    }
    return compiled;
  }();
  return *jit::toGraphFunction((*unit)->get_function(name)).graph();
}

bool IsNone(const jit::Node* node, size_t i) {
  if (i >= node->inputs().size()) return true;
  const auto constant = jit::toIValue(node->input(i));
  return constant && constant->isNone();
}

void Replace(jit::Node* node, const char* name,
             const std::vector<size_t>& arguments) {
  jit::Graph& graph = *node->owningGraph();
  std::vector<jit::Value*> inputs;
  for (size_t i : arguments) inputs.push_back(node->input(i));
  jit::WithInsertPoint guard(node);
  // insertGraph is not const in its callee, though it changes nothing there.
  jit::Value* result =
      jit::insertGraph(graph, const_cast<jit::Graph&>(Replacement(name)),
                       inputs)
          .at(0);
  node->outputs()[0]->replaceAllUsesWith(result);
}

// (query, key, value, embed_dim, num_head, qkv_weight, qkv_bias, proj_weight,
//  proj_bias, mask, need_weights, …) -> (output, weights)
bool ReplaceAttention(jit::Node* node) {
  const bool itself =
      node->input(0) == node->input(1) && node->input(1) == node->input(2);
  if (!itself || !IsNone(node, 9) || node->outputs()[1]->hasUses()) {
    return false;
  }
  Replace(node, "attention", {0, 4, 5, 6, 7, 8});
  return true;
}

// (src, embed_dim, num_heads, qkv_weight, qkv_bias, proj_weight, proj_bias,
//  use_gelu, norm_first, eps, norm_weight_1, norm_bias_1, norm_weight_2,
//  norm_bias_2, ffn_weight_1, ffn_bias_1, ffn_weight_2, ffn_bias_2, mask, …)
bool ReplaceEncoder(jit::Node* node) {
  if (!IsNone(node, 18)) return false;
  Replace(node, "encoder",
          {0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17});
  return true;
}

}  // namespace

bool DecomposeAttention(jit::Graph* graph) {
  std::vector<jit::Node*> replaced;
  for (jit::Node* node : graph->nodes()) {
    const std::string kind = node->kind().toQualString();
    if ((kind == "aten::_native_multi_head_attention" &&
         ReplaceAttention(node)) ||
        (kind == "aten::_transformer_encoder_layer_fwd" &&
         ReplaceEncoder(node))) {
      replaced.push_back(node);
    }
  }
  for (jit::Node* node : replaced) node->destroy();
  return !replaced.empty();
}

}  // namespace quantserve
