#include "quant/plan/plan.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace quantserve {

int64_t Value::elements() const {
  int64_t product = 1;
  for (size_t i = 1; i < shape.size(); ++i) product *= shape[i];
  return product;
}

const char* OpKindName(OpKind kind) {
  switch (kind) {
    case OpKind::kQuantize:
      return "Quantize";
    case OpKind::kDequantize:
      return "Dequantize";
    case OpKind::kConv2d:
      return "Conv2d";
    case OpKind::kLinear:
      return "Linear";
    case OpKind::kAdd:
      return "Add";
    case OpKind::kMul:
      return "Mul";
    case OpKind::kMaxPool:
      return "MaxPool";
    case OpKind::kAvgPool:
      return "AvgPool";
    case OpKind::kReshape:
      return "Reshape";
    case OpKind::kConcat:
      return "Concat";
    case OpKind::kSlice:
      return "Slice";
    case OpKind::kPermute:
      return "Permute";
    case OpKind::kPad:
      return "Pad";
    case OpKind::kClamp:
      return "Clamp";
    case OpKind::kUnary:
      return "Unary";
    case OpKind::kIsland:
      return "Island";
  }
  return "Unknown";
}

ValueId Plan::AddValue(std::string name, Shape shape,
                       std::optional<QuantParams> quant) {
  values.push_back({std::move(name), std::move(shape), quant});
  return static_cast<ValueId>(values.size() - 1);
}

bool Plan::quantized() const {
  for (const Value& v : values) {
    if (v.quant) return true;
  }
  return false;
}

int64_t Plan::Macs() const {
  int64_t macs = 0;
  for (const Node& node : nodes) macs += Macs(node);
  return macs;
}

int64_t Plan::Macs(const Node& node) const {
  if (const auto* island = std::get_if<IslandAttrs>(&node.attrs)) {
    return island->macs;
  }
  if (node.kind != OpKind::kConv2d && node.kind != OpKind::kLinear) return 0;
  const Tensor& weights = *node.weights.data;
  const int64_t per_output = weights.elements() / weights.shape()[0];
  return value(node.outputs[0]).elements() * per_output;
}

int64_t Plan::WeightBytes() const {
  int64_t bytes = 0;
  for (const Node& node : nodes) {
    if (node.weights.data) bytes += node.weights.data->bytes();
    bytes +=
        sizeof(float) * (node.weights.scales.size() + node.weights.bias.size());
  }
  return bytes;
}

std::string Plan::DebugString() const {
  auto describe = [this](ValueId id) {
    const Value& v = value(id);
    std::string text = absl::StrCat("%", v.name, ShapeString(v.shape));
    if (v.quant) {
      absl::StrAppend(&text, "{", v.quant->scale, ",", v.quant->zero_point,
                      "}");
    }
    return text;
  };
  auto list = [&](const std::vector<ValueId>& ids) {
    return absl::StrJoin(ids, ", ", [&](std::string* out, ValueId id) {
      out->append(describe(id));
    });
  };
  std::string text = absl::StrCat("inputs ", list(inputs), "\n");
  for (const Node& node : nodes) {
    absl::StrAppend(&text, list(node.outputs), " = ", OpKindName(node.kind));
    if (const auto* island = std::get_if<IslandAttrs>(&node.attrs)) {
      absl::StrAppend(&text, "<", island->island->op(), ">");
    }
    if (const auto* unary = std::get_if<UnaryAttrs>(&node.attrs)) {
      absl::StrAppend(&text, "<", unary->function, ">");
    }
    if (node.clamp) {
      absl::StrAppend(&text, "[", node.clamp->lo, ",", node.clamp->hi, "]");
    }
    absl::StrAppend(&text, "(", list(node.inputs), ")\n");
  }
  absl::StrAppend(&text, "outputs ", list(outputs), "\n");
  return text;
}

std::vector<int> CountReaders(const Plan& plan) {
  std::vector<int> readers(plan.values.size(), 0);
  for (const Node& node : plan.nodes) {
    for (ValueId id : node.inputs) ++readers[id];
  }
  for (ValueId id : plan.outputs) ++readers[id];
  return readers;
}

}  // namespace quantserve
