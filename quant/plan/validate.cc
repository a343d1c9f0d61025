// Plan::Validate: what engines may rely on.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/plan/plan.h"

namespace quantserve {
namespace {

class Checker {
 public:
  Checker(const Plan& plan, const Node& node) : plan_(plan), node_(node) {}

  absl::Status Check() const {
    switch (node_.kind) {
      case OpKind::kQuantize:
        return Form(false, true, SameShape());
      case OpKind::kDequantize:
        return Form(true, false, SameShape());
      case OpKind::kConv2d:
        return Conv2d();
      case OpKind::kLinear:
        return Linear();
      case OpKind::kAdd:
      case OpKind::kMul:
        return Binary();
      case OpKind::kMaxPool:
      case OpKind::kAvgPool:
        return Pool();
      case OpKind::kReshape:
        return Same(in().elements() == out().elements(), "element count");
      case OpKind::kConcat:
        return Concat();
      case OpKind::kSlice:
        return Slice();
      case OpKind::kPermute:
        return Permute();
      case OpKind::kPad:
        return Pad();
      case OpKind::kClamp:
        if (!node_.clamp) return Wrong("has no clamp");
        return Same(SameShape(), "shape");
      case OpKind::kUnary:
        return Unary();
      case OpKind::kIsland:
        return Island();
    }
    return Wrong("has an unknown kind");
  }

 private:
  const Value& in(size_t i = 0) const { return plan_.value(node_.inputs[i]); }
  const Value& out() const { return plan_.value(node_.outputs[0]); }
  bool SameShape() const { return in().shape == out().shape; }

  absl::Status Wrong(absl::string_view what) const {
    return absl::InternalError(absl::StrCat("plan node \"", node_.name, "\" (",
                                            OpKindName(node_.kind), ") ",
                                            what));
  }
  absl::Status Form(bool in_u8, bool out_u8, bool shape_ok) const {
    if (in().quant.has_value() != in_u8 || out().quant.has_value() != out_u8) {
      return Wrong("has an input or output of the wrong form");
    }
    return shape_ok ? absl::OkStatus() : Wrong("changes the shape");
  }
  // Input and output in the same form, and `ok`.
  absl::Status Same(bool ok, absl::string_view what) const {
    if (in().quant.has_value() != out().quant.has_value()) {
      return Wrong("mixes 8-bit and FP32");
    }
    return ok ? absl::OkStatus() : Wrong(absl::StrCat("has a wrong ", what));
  }
  template <typename T>
  const T* attrs() const {
    return std::get_if<T>(&node_.attrs);
  }

  absl::Status CheckWeights(size_t rank, int64_t outputs) const {
    const Weights& w = node_.weights;
    if (!w.data || w.data->shape().size() != rank || outputs <= 0 ||
        w.data->shape()[0] != outputs || w.data->elements() == 0) {
      return Wrong("has weights of a wrong shape");
    }
    const bool u8 = in().quant.has_value();
    if (w.data->dtype() != (u8 ? DType::kS8 : DType::kF32)) {
      return Wrong("has weights of a wrong type");
    }
    const size_t k = static_cast<size_t>(outputs);
    if (w.scales.size() != (u8 ? k : 0)) return Wrong("has wrong scales");
    if (!w.bias.empty() && w.bias.size() != k) return Wrong("has a wrong bias");
    // An 8-bit layer may write FP32 (the last one does); not the reverse.
    if (!u8 && out().quant) return Wrong("mixes 8-bit and FP32");
    return CheckAddend();
  }

  // The optional second input of a product.
  absl::Status CheckAddend() const {
    if (node_.inputs.size() == 1) return absl::OkStatus();
    if (node_.inputs.size() != 2 || in(1).shape != out().shape ||
        in(1).quant.has_value() != out().quant.has_value() ||
        in(1).quant.has_value() != in(0).quant.has_value()) {
      return Wrong("has a second input that does not match its output");
    }
    return absl::OkStatus();
  }

  absl::Status Conv2d() const {
    const auto* a = attrs<Conv2dAttrs>();
    if (!a || in().shape.size() != 4 || out().shape.size() != 4) {
      return Wrong("needs [N,C,H,W] and its attributes");
    }
    QS_RETURN_IF_ERROR(CheckWeights(4, out().shape[1]));
    const Shape& w = node_.weights.data->shape();
    if (a->groups < 1 || w[1] * a->groups != in().shape[1] ||
        w[0] % a->groups != 0) {
      return Wrong("has channels that do not match its groups");
    }
    for (int d = 0; d < 2; ++d) {
      if (a->stride[d] < 1 || a->dilation[d] < 1 || a->padding[d] < 0 ||
          a->padding[d + 2] < 0) {
        return Wrong("has a bad stride, dilation or padding");
      }
      const int64_t window = a->dilation[d] * (w[2 + d] - 1) + 1;
      const int64_t room =
          in().shape[2 + d] + a->padding[d] + a->padding[d + 2] - window;
      if (room < 0 || room / a->stride[d] + 1 != out().shape[2 + d]) {
        return Wrong("has an output size that does not follow");
      }
    }
    return absl::OkStatus();
  }

  absl::Status Linear() const {
    if (in().shape.size() < 2 || in().shape.size() != out().shape.size()) {
      return Wrong("needs [N,...,C]");
    }
    QS_RETURN_IF_ERROR(CheckWeights(2, out().shape.back()));
    if (node_.weights.data->shape()[1] != in().shape.back() ||
        !std::equal(in().shape.begin(), in().shape.end() - 1,
                    out().shape.begin())) {
      return Wrong("has weights that do not match its input");
    }
    return absl::OkStatus();
  }

  absl::Status Binary() const {
    if (node_.inputs.size() != 2) return Wrong("needs two inputs");
    if (in(1).quant.has_value() != in(0).quant.has_value()) {
      return Wrong("mixes 8-bit and FP32");
    }
    const Shape& b = in(1).shape;
    const bool per_channel = b.size() == 4 && in().shape.size() == 4 &&
                             b[1] == in().shape[1] && b[2] == 1 && b[3] == 1;
    return Same(SameShape() && (b == in().shape || per_channel), "shape");
  }

  absl::Status Pool() const {
    const auto* a = attrs<PoolAttrs>();
    if (!a || in().shape.size() != 4 || out().shape.size() != 4 ||
        in().shape[1] != out().shape[1]) {
      return Wrong("needs [N,C,H,W] and its attributes");
    }
    for (int d = 0; d < 2; ++d) {
      if (a->stride[d] < 1 || a->kernel[d] < 1 || a->dilation[d] < 1 ||
          a->padding[d] < 0 || a->padding[d + 2] < 0) {
        return Wrong("has a bad kernel, stride or padding");
      }
      const int64_t window = a->dilation[d] * (a->kernel[d] - 1) + 1;
      const int64_t room =
          in().shape[2 + d] + a->padding[d] + a->padding[d + 2] - window;
      if (room < 0 || room / a->stride[d] + 1 != out().shape[2 + d]) {
        return Wrong("has an output size that does not follow");
      }
    }
    return Same(true, "shape");
  }

  absl::Status Concat() const {
    const auto* a = attrs<ConcatAttrs>();
    const int64_t rank = static_cast<int64_t>(out().shape.size());
    if (!a || a->axis < 1 || a->axis >= rank) return Wrong("has a bad axis");
    int64_t sum = 0;
    for (size_t i = 0; i < node_.inputs.size(); ++i) {
      Shape shape = in(i).shape;
      if (shape.size() != out().shape.size() ||
          in(i).quant.has_value() != out().quant.has_value()) {
        return Wrong("has inputs that do not fit together");
      }
      sum += shape[a->axis];
      shape[a->axis] = out().shape[a->axis];
      if (shape != out().shape) return Wrong("has inputs of unequal shape");
    }
    return Same(sum == out().shape[a->axis], "size along its axis");
  }

  absl::Status Slice() const {
    const auto* a = attrs<SliceAttrs>();
    const size_t rank = in().shape.size();
    if (!a || a->start.size() != rank || a->step.size() != rank ||
        out().shape.size() != rank || a->start[0] != 0 || a->step[0] != 1) {
      return Wrong("needs a start and a step for each dimension");
    }
    for (size_t d = 1; d < rank; ++d) {
      if (a->start[d] < 0 || a->step[d] < 1 ||
          a->start[d] + (out().shape[d] - 1) * a->step[d] >= in().shape[d]) {
        return Wrong("reaches outside its input");
      }
    }
    return Same(true, "shape");
  }

  absl::Status Permute() const {
    const auto* a = attrs<PermuteAttrs>();
    const size_t rank = in().shape.size();
    if (!a || a->order.size() != rank || out().shape.size() != rank ||
        a->order[0] != 0) {
      return Wrong("needs an order of its dimensions");
    }
    std::vector<bool> seen(rank, false);
    for (size_t d = 0; d < rank; ++d) {
      const int64_t from = a->order[d];
      if (from < 0 || from >= static_cast<int64_t>(rank) || seen[from] ||
          in().shape[from] != out().shape[d]) {
        return Wrong("has a bad order of its dimensions");
      }
      seen[from] = true;
    }
    return Same(true, "shape");
  }

  absl::Status Pad() const {
    const auto* a = attrs<PadAttrs>();
    const size_t rank = in().shape.size();
    if (!a || a->before.size() != rank || a->after.size() != rank ||
        out().shape.size() != rank || a->before[0] != 0 || a->after[0] != 0) {
      return Wrong("needs a width for each dimension");
    }
    bool ok = true;
    for (size_t d = 1; d < rank; ++d) {
      ok = ok && a->before[d] >= 0 && a->after[d] >= 0 &&
           in().shape[d] + a->before[d] + a->after[d] == out().shape[d];
    }
    return Same(ok, "shape");
  }

  absl::Status Unary() const {
    const auto* a = attrs<UnaryAttrs>();
    if (!a || !a->island) return Wrong("has no function");
    if (in().quant && !a->table) return Wrong("is 8-bit and has no table");
    return Same(SameShape(), "shape");
  }

  absl::Status Island() const {
    const auto* a = attrs<IslandAttrs>();
    if (!a || !a->island) return Wrong("has no island");
    for (ValueId id : node_.inputs) {
      if (plan_.value(id).quant) return Wrong("has an 8-bit input");
    }
    for (ValueId id : node_.outputs) {
      if (plan_.value(id).quant) return Wrong("has an 8-bit output");
    }
    return absl::OkStatus();
  }

  const Plan& plan_;
  const Node& node_;
};

}  // namespace

absl::Status Plan::Validate() const {
  const auto known = [this](ValueId id) {
    return id >= 0 && id < static_cast<ValueId>(values.size());
  };
  for (const Value& v : values) {
    if (v.shape.empty() || v.shape[0] < 1 ||
        *std::min_element(v.shape.begin(), v.shape.end()) < 1) {
      return absl::InternalError(absl::StrCat(
          "plan value \"", v.name, "\" has shape ", ShapeString(v.shape)));
    }
    if (v.quant && !(v.quant->scale > 0 && v.quant->zero_point >= 0 &&
                     v.quant->zero_point <= QuantParams::kMax)) {
      return absl::InternalError(
          absl::StrCat("plan value \"", v.name, "\" has a bad 8-bit grid"));
    }
  }
  std::vector<bool> written(values.size(), false);
  for (ValueId id : inputs) {
    if (!known(id) || value(id).quant) {
      return absl::InternalError("plan has a bad input");
    }
    written[id] = true;
  }
  for (const Node& node : nodes) {
    const auto ready = [&](ValueId id) { return known(id) && written[id]; };
    const auto fresh = [&](ValueId id) { return known(id) && !written[id]; };
    if (node.outputs.empty() ||
        (node.inputs.empty() && node.kind != OpKind::kIsland) ||
        (node.outputs.size() > 1 && node.kind != OpKind::kIsland) ||
        !std::all_of(node.inputs.begin(), node.inputs.end(), ready) ||
        !std::all_of(node.outputs.begin(), node.outputs.end(), fresh)) {
      return absl::InternalError(absl::StrCat(
          "plan node \"", node.name,
          "\" reads a value before it is written, or writes one twice"));
    }
    QS_RETURN_IF_ERROR(Checker(*this, node).Check());
    for (ValueId id : node.outputs) written[id] = true;
  }
  for (ValueId id : outputs) {
    if (!known(id) || !written[id] || value(id).quant) {
      return absl::InternalError("plan has a bad output");
    }
  }
  return absl::OkStatus();
}

}  // namespace quantserve
