#include "quant/plan/passes/equalize.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

bool IsLayer(const Node& node) {
  return (node.kind == OpKind::kConv2d || node.kind == OpKind::kLinear) &&
         node.inputs.size() == 1;
}

int64_t Groups(const Node& node) {
  const auto* conv = std::get_if<Conv2dAttrs>(&node.attrs);
  return conv != nullptr ? conv->groups : 1;
}

bool KeepsSign(const std::optional<Clamp>& clamp) {
  return !clamp || clamp->IsRelu();
}

// Whether f(s x) = s f(x) for positive s of each channel, with channels staying
// where they are: in dimension 1, or in the last (`last`).
bool Commutes(const Plan& plan, const Node& node, bool* last) {
  switch (node.kind) {
    case OpKind::kMaxPool:
    case OpKind::kAvgPool:
      return !*last;
    case OpKind::kClamp:
      return node.clamp->IsRelu();
    case OpKind::kPad: {
      const auto& a = std::get<PadAttrs>(node.attrs);
      return !*last && a.value == 0 && a.before[1] == 0 && a.after[1] == 0;
    }
    case OpKind::kSlice:
      return !*last && plan.value(node.inputs[0]).shape[1] ==
                           plan.value(node.outputs[0]).shape[1];
    case OpKind::kReshape: {
      const Shape& in = plan.value(node.inputs[0]).shape;
      const Shape& out = plan.value(node.outputs[0]).shape;
      if (*last || in.size() < 2 || out != Shape{1, in[1]}) return false;
      *last = true;
      return true;
    }
    default:
      return false;
  }
}

// Calls visit(row, channel, weights, count) for each run of weights that one
// input channel meets in one output channel.
void ForEachInput(const Node& node, const Tensor& weights,
                  const std::function<void(int64_t channel, int64_t begin,
                                           int64_t count)>& visit) {
  const int64_t outputs = weights.shape()[0];
  const int64_t inputs = weights.shape()[1];  // of one group
  const int64_t taps =
      weights.elements() / std::max<int64_t>(1, outputs * inputs);
  const int64_t group_outputs = std::max<int64_t>(1, outputs / Groups(node));
  for (int64_t k = 0; k < outputs; ++k) {
    for (int64_t i = 0; i < inputs; ++i) {
      visit(k / group_outputs * inputs + i, (k * inputs + i) * taps, taps);
    }
  }
}

std::shared_ptr<Tensor> Copy(const Tensor& tensor) {
  auto copy = std::make_shared<Tensor>(tensor.dtype(), tensor.shape());
  const auto from = tensor.span<float>();
  std::copy(from.begin(), from.end(), copy->data<float>());
  return copy;
}

absl::Status Apply(const Equalization& equalization, const LayerPair& pair,
                   Plan* plan) {
  const auto& factors = equalization.factors;
  for (float f : factors) {
    if (std::isfinite(f) && f > 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("equalization of \"", equalization.first, "\" with \"",
                     equalization.second, "\" has the factor ", f,
                     ", expected a positive number"));
  }
  if (static_cast<int64_t>(factors.size()) != pair.channels) {
    return absl::InvalidArgumentError(
        absl::StrCat("equalization of \"", equalization.first, "\" with \"",
                     equalization.second, "\" has ", factors.size(),
                     " factors, expected ", pair.channels));
  }
  Node& first = plan->nodes[pair.first];
  std::shared_ptr<Tensor> scaled = Copy(*first.weights.data);
  const int64_t row = scaled->elements() / pair.channels;
  for (int64_t i = 0; i < scaled->elements(); ++i) {
    scaled->data<float>()[i] /= factors[i / row];
  }
  for (size_t c = 0; c < first.weights.bias.size(); ++c) {
    first.weights.bias[c] /= factors[c];
  }
  first.weights.data = std::move(scaled);

  Node& second = plan->nodes[pair.second];
  scaled = Copy(*second.weights.data);
  ForEachInput(second, *scaled,
               [&](int64_t channel, int64_t begin, int64_t count) {
                 for (int64_t i = begin; i < begin + count; ++i) {
                   scaled->data<float>()[i] *= factors[channel];
                 }
               });
  second.weights.data = std::move(scaled);
  return absl::OkStatus();
}

}  // namespace

std::vector<LayerPair> EqualizablePairs(const Plan& plan) {
  constexpr size_t kNone = static_cast<size_t>(-1);
  const std::vector<int> readers = CountReaders(plan);
  std::vector<size_t> reader(plan.values.size(), kNone);
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    for (ValueId id : plan.nodes[i].inputs) reader[id] = i;
  }
  std::vector<LayerPair> pairs;
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    const Node& first = plan.nodes[i];
    if (!IsLayer(first) || !KeepsSign(first.clamp)) continue;
    bool last = first.kind == OpKind::kLinear;
    ValueId id = first.outputs[0];
    while (readers[id] == 1 && reader[id] != kNone) {
      const size_t next = reader[id];
      const Node& node = plan.nodes[next];
      if (IsLayer(node)) {
        if (last == (node.kind == OpKind::kLinear)) {
          pairs.push_back({i, next, first.weights.data->shape()[0]});
        }
        break;
      }
      if (!Commutes(plan, node, &last)) break;
      id = node.outputs[0];
    }
  }
  return pairs;
}

absl::StatusOr<Plan> Equalize(Plan plan,
                              const std::vector<Equalization>& equalizations) {
  if (equalizations.empty()) return plan;
  std::map<std::pair<std::string, std::string>, LayerPair> known;
  for (const LayerPair& pair : EqualizablePairs(plan)) {
    known[{plan.nodes[pair.first].name, plan.nodes[pair.second].name}] = pair;
  }
  for (const Equalization& equalization : equalizations) {
    const auto pair = known.find({equalization.first, equalization.second});
    if (pair == known.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "layers \"", equalization.first, "\" and \"", equalization.second,
          "\" cannot be equalized, expected two layers with nothing but ReLU "
          "and pooling between them"));
    }
    QS_RETURN_IF_ERROR(Apply(equalization, pair->second, &plan));
  }
  return plan;
}

std::vector<float> OutputRanges(const Node& node) {
  const Tensor& weights = *node.weights.data;
  std::vector<float> ranges(weights.shape()[0], 0.0f);
  const int64_t row = weights.elements() / weights.shape()[0];
  for (int64_t i = 0; i < weights.elements(); ++i) {
    ranges[i / row] =
        std::max(ranges[i / row], std::fabs(weights.data<float>()[i]));
  }
  return ranges;
}

std::vector<float> InputRanges(const Node& node) {
  const Tensor& weights = *node.weights.data;
  std::vector<float> ranges(weights.shape()[1] * Groups(node), 0.0f);
  ForEachInput(
      node, weights, [&](int64_t channel, int64_t begin, int64_t count) {
        for (int64_t i = begin; i < begin + count; ++i) {
          ranges[channel] =
              std::max(ranges[channel], std::fabs(weights.data<float>()[i]));
        }
      });
  return ranges;
}

}  // namespace quantserve
