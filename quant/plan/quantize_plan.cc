#include "quant/plan/quantize_plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "quant/base/status_macros.h"
#include "quant/plan/grids.h"
#include "quant/plan/passes/equalize.h"

namespace quantserve {
namespace {

// Which nodes can be 8-bit, and why the others cannot.
std::vector<NodeOutcome> DecideNodes(
    const Plan& plan, const std::map<std::string, std::string>& keep_float) {
  std::vector<NodeOutcome> outcomes;
  std::vector<bool> is_u8(plan.values.size(), false);
  for (const Node& node : plan.nodes) {
    NodeOutcome outcome{node.name, node.kind, OpKindName(node.kind), false, ""};
    const bool any_u8 = std::any_of(node.inputs.begin(), node.inputs.end(),
                                    [&](ValueId id) { return is_u8[id]; });
    switch (node.kind) {
      case OpKind::kConv2d:
      case OpKind::kLinear:
        outcome.quantized = true;
        break;
      case OpKind::kIsland:
        outcome.op = std::get<IslandAttrs>(node.attrs).island->op();
        outcome.reason =
            outcome.op.find("prim::If") != std::string::npos ||
                    outcome.op.find("prim::Loop") != std::string::npos
                ? "control flow that depends on data"
                : "operator has no 8-bit form";
        break;
      case OpKind::kPad:
        outcome.quantized = any_u8 && std::get<PadAttrs>(node.attrs).value == 0;
        outcome.reason =
            any_u8 ? "pads with a value other than zero" : "input is FP32";
        break;
      case OpKind::kClamp:
        // The grid holds zero; a clamp that excludes it has no 8-bit form.
        outcome.quantized =
            any_u8 && node.clamp->lo <= 0 && node.clamp->hi >= 0;
        outcome.reason =
            any_u8 ? "clamps to an interval without zero" : "input is FP32";
        break;
      case OpKind::kUnary:
        outcome.op = std::get<UnaryAttrs>(node.attrs).function;
        ABSL_FALLTHROUGH_INTENDED;
      default:
        outcome.quantized = any_u8;
        outcome.reason = "input is FP32";
        break;
    }
    const auto kept = keep_float.find(node.name);
    if (outcome.quantized && kept != keep_float.end()) {
      outcome.quantized = false;
      outcome.reason = kept->second;
    }
    if (outcome.quantized) {
      outcome.reason.clear();
      for (ValueId id : node.outputs) is_u8[id] = true;
    }
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

absl::Status CheckRecipe(const Plan& plan, const Recipe& recipe) {
  if (recipe.weight_bits != 7 && recipe.weight_bits != 8) {
    return absl::InvalidArgumentError(absl::StrCat("recipe has weights of ",
                                                   recipe.weight_bits,
                                                   " bits, expected 7 or 8"));
  }
  std::set<absl::string_view> names;
  for (const Node& node : plan.nodes) names.insert(node.name);
  const auto unknown = [&](const std::string& name) {
    return absl::InvalidArgumentError(
        absl::StrCat("the model has no layer \"", name, "\""));
  };
  for (const auto& [name, reason] : recipe.keep_float) {
    if (names.count(name) == 0) return unknown(name);
  }
  for (const auto& [name, shifts] : recipe.bias_shifts) {
    if (names.count(name) == 0) return unknown(name);
  }
  return absl::OkStatus();
}

// Which 8-bit layers write FP32: those that only nodes in FP32 read, one of
// them by the recipe's wish. A grid between the two would cost what the recipe
// wants to save.
std::vector<bool> WriteFloat(const Plan& plan,
                             const std::vector<bool>& quantized,
                             const Recipe& recipe) {
  const std::vector<int> readers = CountReaders(plan);
  std::vector<int> kept(plan.values.size(), 0), in_float(plan.values.size(), 0);
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    const Node& node = plan.nodes[i];
    if (quantized[i]) continue;
    for (ValueId id : node.inputs) {
      ++in_float[id];
      kept[id] += static_cast<int>(recipe.keep_float.count(node.name));
    }
  }
  std::vector<bool> result;
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    const Node& node = plan.nodes[i];
    const ValueId id = node.outputs[0];
    result.push_back(quantized[i] && node.weights.data != nullptr &&
                     kept[id] > 0 && in_float[id] == readers[id]);
  }
  return result;
}

// Builds the quantized plan node by node.
class Rewriter {
 public:
  Rewriter(const Plan& plan, const Grids& grids, const Recipe& recipe)
      : plan_(plan), grids_(grids), recipe_(recipe) {
    for (ValueId id : plan.inputs) {
      const ValueId copy =
          out_.AddValue(plan.value(id).name, plan.value(id).shape);
      out_.values[copy].integers = plan.value(id).integers;
      out_.inputs.push_back(copy);
      f32_[id] = copy;
    }
  }

  // `writes_float`: an 8-bit layer whose result is not rounded onto a grid.
  absl::Status Add(const Node& node, bool quantized, bool writes_float) {
    Node copy = node;
    for (ValueId& id : copy.inputs) id = quantized ? U8(id) : F32(id);
    const bool rounded = quantized && !writes_float;
    for (ValueId& id : copy.outputs) {
      const Value& value = plan_.value(id);
      const ValueId made = out_.AddValue(
          value.name, value.shape,
          rounded ? std::optional<QuantParams>(grids_.at(id)) : std::nullopt);
      (rounded ? u8_ : f32_)[id] = made;
      id = made;
    }
    if (quantized && copy.weights.data) {
      copy.weights = QuantizeWeights(node.weights, recipe_.weight_bits);
      QS_RETURN_IF_ERROR(ShiftBias(&copy));
    }
    if (quantized && node.kind == OpKind::kUnary) {
      QS_RETURN_IF_ERROR(FillTable(&copy));
    }
    out_.nodes.push_back(std::move(copy));
    return absl::OkStatus();
  }

  absl::StatusOr<Plan> Finish() {
    for (ValueId id : plan_.outputs) out_.outputs.push_back(F32(id));
    QS_RETURN_IF_ERROR(out_.Validate());
    return std::move(out_);
  }

 private:
  // The 8-bit form of a value of the float plan, converted once if need be.
  ValueId U8(ValueId id) {
    const auto known = u8_.find(id);
    if (known != u8_.end()) return known->second;
    return u8_[id] =
               Convert(OpKind::kQuantize, f32_.at(id), ".u8", grids_.at(id));
  }
  ValueId F32(ValueId id) {
    const auto known = f32_.find(id);
    if (known != f32_.end()) return known->second;
    return f32_[id] =
               Convert(OpKind::kDequantize, u8_.at(id), ".f32", std::nullopt);
  }
  ValueId Convert(OpKind kind, ValueId from, const char* suffix,
                  std::optional<QuantParams> quant) {
    const std::string name = absl::StrCat(out_.value(from).name, suffix);
    Node node;
    node.kind = kind;
    node.name = name;
    node.inputs = {from};
    node.outputs = {out_.AddValue(name, out_.value(from).shape, quant)};
    out_.nodes.push_back(std::move(node));
    return out_.nodes.back().outputs[0];
  }

  absl::Status ShiftBias(Node* node) const {
    const auto found = recipe_.bias_shifts.find(node->name);
    if (found == recipe_.bias_shifts.end()) return absl::OkStatus();
    const std::vector<float>& shifts = found->second;
    std::vector<float>& bias = node->weights.bias;
    const size_t channels = node->weights.scales.size();
    if (shifts.size() != channels) {
      return absl::InvalidArgumentError(
          absl::StrCat("layer \"", node->name, "\" has ", shifts.size(),
                       " bias shifts, expected ", channels));
    }
    bias.resize(channels, 0.0f);
    for (size_t c = 0; c < channels; ++c) bias[c] += shifts[c];
    return absl::OkStatus();
  }

  // table[q] = quantize(f(dequantize(q))).
  absl::Status FillTable(Node* node) const {
    UnaryAttrs attrs = std::get<UnaryAttrs>(node->attrs);
    const QuantParams in = *out_.value(node->inputs[0]).quant;
    const QuantParams out = *out_.value(node->outputs[0]).quant;
    std::array<float, 256> x, y;
    for (int q = 0; q < 256; ++q) x[q] = in.scale * (q - in.zero_point);
    QS_RETURN_IF_ERROR(attrs.island->Run({x.data()}, {Shape{1, 256}},
                                         {y.data()}, {Shape{1, 256}}));
    auto table = std::make_shared<UnaryTable>();
    for (int q = 0; q < 256; ++q) {
      const double grid = std::nearbyint(y[q] / out.scale) + out.zero_point;
      // !(>=) also sends NaN, where the function is undefined, to the bottom.
      (*table)[q] =
          !(grid >= QuantParams::kMin)
              ? QuantParams::kMin
              : static_cast<uint8_t>(std::min<double>(grid, QuantParams::kMax));
    }
    attrs.table = std::move(table);
    node->attrs = std::move(attrs);
    return absl::OkStatus();
  }

  const Plan& plan_;
  const Grids& grids_;
  const Recipe& recipe_;
  Plan out_;
  std::map<ValueId, ValueId> f32_, u8_;  // from the float plan to out_
};

}  // namespace

QuantParams ChooseQuantParams(const Range& range, bool symmetric) {
  // Scales below this overflow their reciprocal; an all-zero value gets 1.
  constexpr double kSmallest = 1e-30;
  const double lo = std::min(0.0f, range.lo);
  const double hi = std::max(0.0f, range.hi);
  QuantParams q;
  if (symmetric) {
    const double scale = std::max(-lo, hi) / 127.0;
    q.scale = scale > kSmallest ? static_cast<float>(scale) : 1.0f;
    q.zero_point = 128;
    return q;
  }
  const double scale = (hi - lo) / 255.0;
  if (!(scale > kSmallest)) return q;
  q.scale = static_cast<float>(scale);
  q.zero_point =
      static_cast<int32_t>(std::clamp(std::nearbyint(-lo / scale), 0.0, 255.0));
  return q;
}

Weights QuantizeWeights(const Weights& weights, int bits) {
  const Tensor& w = *weights.data;
  const int64_t channels = w.shape()[0];
  const int64_t row = w.elements() / channels;
  const float qmax = static_cast<float>((1 << (bits - 1)) - 1);
  auto quantized = std::make_shared<Tensor>(DType::kS8, w.shape());
  Weights result{nullptr, std::vector<float>(channels), weights.bias};
  for (int64_t c = 0; c < channels; ++c) {
    const float* in = w.data<float>() + c * row;
    int8_t* out = quantized->data<int8_t>() + c * row;
    float largest = 0;
    for (int64_t i = 0; i < row; ++i) {
      largest = std::max(largest, std::fabs(in[i]));
    }
    const float scale = largest / qmax > 1e-30f ? largest / qmax : 1.0f;
    result.scales[c] = scale;
    for (int64_t i = 0; i < row; ++i) {
      const float q = std::nearbyint(in[i] / scale);
      out[i] = static_cast<int8_t>(std::clamp(q, -qmax, qmax));
    }
  }
  result.data = std::move(quantized);
  return result;
}

absl::StatusOr<QuantizedPlan> QuantizePlan(const Plan& float_plan,
                                           const Recipe& recipe,
                                           const QuantizePlanOptions& options) {
  QS_RETURN_IF_ERROR(CheckRecipe(float_plan, recipe));
  QS_ASSIGN_OR_RETURN(const Plan plan,
                      Equalize(float_plan, recipe.equalizations));
  QuantizedPlan result;
  result.outcomes = DecideNodes(plan, recipe.keep_float);
  std::vector<bool> quantized;
  for (const NodeOutcome& outcome : result.outcomes) {
    quantized.push_back(outcome.quantized);
  }
  QS_ASSIGN_OR_RETURN(Grids grids,
                      ChooseGrids(plan, quantized, recipe.ranges, options));
  Rewriter rewriter(plan, grids, recipe);
  const std::vector<bool> write_float = WriteFloat(plan, quantized, recipe);
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    QS_RETURN_IF_ERROR(
        rewriter.Add(plan.nodes[i], quantized[i], write_float[i]));
  }
  QS_ASSIGN_OR_RETURN(result.plan, rewriter.Finish());
  return result;
}

}  // namespace quantserve
