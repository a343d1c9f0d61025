#include "quant/torch/emit.h"

#include <torch/csrc/jit/ir/ir.h>

#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/plan/passes/passes.h"
#include "quant/torch/island.h"
#include "quant/torch/wall.h"

namespace quantserve {
namespace {

namespace jit = torch::jit;
using jit::NamedValue;

// The same memory, kept alive by the result. LibTorch only reads weights.
at::Tensor ToTorch(const std::shared_ptr<const Tensor>& tensor) {
  const auto type =
      tensor->dtype() == DType::kS8 ? torch::kInt8 : torch::kFloat32;
  return torch::from_blob(
      const_cast<std::byte*>(tensor->data<std::byte>()), tensor->shape(),
      [tensor](void*) {}, type);
}

at::Tensor ToTorch(const std::vector<float>& values) {
  return torch::tensor(values, torch::kFloat32);
}

// The s8 weights as LibTorch wants them: a per-channel qint8 tensor.
at::Tensor QuantizedWeight(const Weights& weights) {
  const at::Tensor scales = ToTorch(weights.scales).to(torch::kFloat64);
  const at::Tensor zeros = torch::zeros(scales.sizes(), torch::kInt64);
  return at::_make_per_channel_quantized_tensor(ToTorch(weights.data), scales,
                                                zeros, 0);
}

c10::IValue CallOperator(const char* name, std::vector<c10::IValue> stack) {
  const c10::OperatorHandle op =
      c10::Dispatcher::singleton().findSchemaOrThrow(name, "");
  op.callBoxed(&stack);
  return stack.at(0);
}

class Emitter {
 public:
  explicit Emitter(const Plan& plan)
      : plan_(plan),
        module_("__torch__.quantserve.Model"),
        graph_(std::make_shared<jit::Graph>()) {}

  absl::StatusOr<jit::Module> Emit(const EmitOptions& options) {
    self_ = graph_->addInput("self");
    self_->setType(module_._ivalue()->type());
    values_.resize(plan_.values.size(), nullptr);
    for (ValueId id : plan_.inputs) {
      values_[id] = graph_->addInput(absl::StrCat("x", id));
    }
    for (const Node& node : plan_.nodes) QS_RETURN_IF_ERROR(EmitNode(node));
    std::vector<jit::Value*> results;
    for (ValueId id : plan_.outputs) results.push_back(values_[id]);
    for (ValueId id : options.observe) {
      results.push_back(
          plan_.value(id).quant
              ? graph_->insert(c10::aten::dequantize, {NamedValue(values_[id])})
              : values_[id]);
    }
    if (results.size() == 1) {
      graph_->registerOutput(results[0]);
    } else {
      jit::Node* tuple = graph_->createTuple(results);
      graph_->insertNode(tuple);
      graph_->registerOutput(tuple->output());
    }
    jit::Function* function =
        module_._ivalue()->compilation_unit()->create_function(
            c10::QualifiedName(*module_.type()->name(), "forward"), graph_);
    module_.type()->addMethod(function);
    return module_;
  }

 private:
  NamedValue In(const Node& node, size_t i = 0) {
    return NamedValue(values_[node.inputs[i]]);
  }
  jit::Value* Insert(const char* op, const std::vector<NamedValue>& arguments) {
    return graph_->insert(c10::Symbol::fromQualString(op), arguments);
  }
  NamedValue List(const std::array<int64_t, 2>& pair) {
    return NamedValue(
        graph_->insertConstant(std::vector<int64_t>{pair[0], pair[1]}));
  }
  NamedValue List(const Shape& list) {
    return NamedValue(graph_->insertConstant(list));
  }
  NamedValue None() {
    return NamedValue(graph_->insertConstant(c10::IValue()));
  }

  NamedValue Constant(const at::Tensor& value) {
    return NamedValue(graph_->insertConstant(value));
  }
  // Packed weights: objects cannot be constants of a graph, so the module keeps
  // them as attributes.
  NamedValue Attribute(c10::IValue value) {
    const std::string name = absl::StrCat("c", attributes_++);
    const c10::TypePtr type = value.type();
    module_.register_attribute(name, type, std::move(value));
    jit::Node* get = graph_->createGetAttr(self_, name);
    graph_->insertNode(get);
    get->output()->setType(type);
    return NamedValue(get->output());
  }

  std::vector<NamedValue> Grid(const Node& node) {
    const QuantParams& q = *plan_.value(node.outputs[0]).quant;
    return {
        NamedValue(graph_->insertConstant(static_cast<double>(q.scale))),
        NamedValue(graph_->insertConstant(static_cast<int64_t>(q.zero_point)))};
  }

  // `value`, FP32, on the grid of the node's output.
  jit::Value* Quantized(const Node& node, jit::Value* value) {
    std::vector<NamedValue> arguments{NamedValue(value)};
    for (NamedValue& v : Grid(node)) arguments.push_back(v);
    arguments.push_back(NamedValue(
        graph_->insertConstant(static_cast<int64_t>(c10::ScalarType::QUInt8))));
    return Insert("aten::quantize_per_tensor", arguments);
  }

  // Clamps a result that no fused operator clamps.
  jit::Value* Clamped(jit::Value* value, const Clamp& clamp) {
    if (clamp.IsRelu()) return Insert("aten::relu", {NamedValue(value)});
    const auto bound = [this](float x) {
      return std::isinf(x) ? None()
                           : NamedValue(graph_->insertConstant(double{x}));
    };
    return Insert("aten::clamp",
                  {NamedValue(value), bound(clamp.lo), bound(clamp.hi)});
  }

  absl::Status Unsupported(const Node& node, absl::string_view what) {
    return absl::FailedPreconditionError(
        absl::StrCat("node \"", node.name, "\": LibTorch has no ", what));
  }

  absl::Status EmitNode(const Node& node) {
    jit::Value* result = nullptr;
    const bool u8 = plan_.value(node.outputs[0]).quant.has_value();
    switch (node.kind) {
      case OpKind::kQuantize:
        result = Quantized(node, values_[node.inputs[0]]);
        break;
      case OpKind::kDequantize:
        result = Insert("aten::dequantize", {In(node)});
        break;
      case OpKind::kConv2d:
      case OpKind::kLinear:
        return EmitLayer(node, u8);
      case OpKind::kAdd:
      case OpKind::kMul:
        return EmitBinary(node, u8);
      case OpKind::kMaxPool:
      case OpKind::kAvgPool:
        return EmitPool(node);
      case OpKind::kReshape: {
        // The batch stays free.
        Shape shape = plan_.value(node.outputs[0]).shape;
        shape[0] = -1;
        result = Insert("aten::reshape", {In(node), List(shape)});
        break;
      }
      case OpKind::kConcat:
        result = EmitConcat(node, u8);
        break;
      case OpKind::kSlice:
        result = EmitSlice(node);
        break;
      case OpKind::kPermute:
        // Contiguous, as reshapes and 8-bit layers behind it want it.
        result = Insert(
            "aten::contiguous",
            {NamedValue(Insert(
                "aten::permute",
                {In(node), List(std::get<PermuteAttrs>(node.attrs).order)}))});
        break;
      case OpKind::kPad:
        result = EmitPad(node);
        break;
      case OpKind::kClamp:
        result = Clamped(values_[node.inputs[0]], *node.clamp);
        break;
      case OpKind::kUnary: {
        jit::Value* in = values_[node.inputs[0]];
        if (u8) in = Insert("aten::dequantize", {NamedValue(in)});
        result = Inline(*std::get<UnaryAttrs>(node.attrs).island, {in}).at(0);
        if (u8) result = Quantized(node, result);
        break;
      }
      case OpKind::kIsland: {
        std::vector<jit::Value*> inputs;
        for (ValueId id : node.inputs) inputs.push_back(values_[id]);
        const std::vector<jit::Value*> outputs =
            Inline(*std::get<IslandAttrs>(node.attrs).island, inputs);
        for (size_t i = 0; i < outputs.size(); ++i) {
          values_[node.outputs[i]] = outputs[i];
        }
        return absl::OkStatus();
      }
    }
    values_[node.outputs[0]] = result;
    return absl::OkStatus();
  }

  std::vector<jit::Value*> Inline(const Island& island,
                                  const std::vector<jit::Value*>& inputs) {
    return jit::insertGraph(
        *graph_, static_cast<const TorchIsland&>(island).graph(), inputs);
  }

  absl::Status EmitLayer(const Node& node, bool u8) {
    const bool conv = node.kind == OpKind::kConv2d;
    const Conv2dAttrs a =
        conv ? std::get<Conv2dAttrs>(node.attrs) : Conv2dAttrs();
    if (a.padding[0] != a.padding[2] || a.padding[1] != a.padding[3]) {
      return Unsupported(node, "convolution with unequal padding");
    }
    const std::array<int64_t, 2> padding{a.padding[0], a.padding[1]};
    const bool relu = node.clamp && node.clamp->IsRelu();
    jit::Value* result = nullptr;
    if (!u8) {
      // LibTorch's 8-bit layers write 8 bits: one that writes FP32 is computed
      // on the same numbers in FP32.
      const bool from_u8 = plan_.value(node.inputs[0]).quant.has_value();
      std::vector<NamedValue> arguments{
          from_u8 ? NamedValue(Insert("aten::dequantize", {In(node)}))
                  : In(node),
          Constant(from_u8 ? at::dequantize(QuantizedWeight(node.weights))
                           : ToTorch(node.weights.data)),
          node.weights.bias.empty() ? None()
                                    : Constant(ToTorch(node.weights.bias))};
      if (conv) {
        arguments.insert(arguments.end(),
                         {List(a.stride), List(padding), List(a.dilation),
                          NamedValue(graph_->insertConstant(a.groups))});
      }
      result = Insert(conv ? "aten::conv2d" : "aten::linear", arguments);
      values_[node.outputs[0]] =
          node.clamp ? Clamped(result, *node.clamp) : result;
      return absl::OkStatus();
    }
    std::vector<c10::IValue> stack{QuantizedWeight(node.weights)};
    stack.push_back(node.weights.bias.empty() ? c10::IValue()
                                              : ToTorch(node.weights.bias));
    if (conv) {
      const auto list = [](const std::array<int64_t, 2>& pair) {
        return c10::List<int64_t>{pair[0], pair[1]};
      };
      stack.insert(stack.end(),
                   {list(a.stride), list(padding), list(a.dilation), a.groups});
    }
    const c10::IValue packed = CallOperator(
        conv ? "quantized::conv2d_prepack" : "quantized::linear_prepack",
        std::move(stack));
    std::vector<NamedValue> arguments{In(node), Attribute(packed)};
    for (NamedValue& v : Grid(node)) arguments.push_back(v);
    const std::string op = absl::StrCat(
        conv ? "quantized::conv2d" : "quantized::linear", relu ? "_relu" : "");
    result = Insert(op.c_str(), arguments);
    if (node.clamp && !relu) result = Clamped(result, *node.clamp);
    values_[node.outputs[0]] = result;
    return absl::OkStatus();
  }

  absl::Status EmitBinary(const Node& node, bool u8) {
    const bool add = node.kind == OpKind::kAdd;
    const bool relu = node.clamp && node.clamp->IsRelu();
    jit::Value* result = nullptr;
    if (u8) {
      std::vector<NamedValue> arguments{In(node), In(node, 1)};
      for (NamedValue& v : Grid(node)) arguments.push_back(v);
      result = Insert(add ? (relu ? "quantized::add_relu" : "quantized::add")
                          : "quantized::mul",
                      arguments);
      if (node.clamp && !(add && relu)) result = Clamped(result, *node.clamp);
    } else {
      std::vector<NamedValue> arguments{In(node), In(node, 1)};
      result = Insert(add ? "aten::add" : "aten::mul", arguments);
      if (node.clamp) result = Clamped(result, *node.clamp);
    }
    values_[node.outputs[0]] = result;
    return absl::OkStatus();
  }

  absl::Status EmitPool(const Node& node) {
    const auto& a = std::get<PoolAttrs>(node.attrs);
    const Shape& in = plan_.value(node.inputs[0]).shape;
    const Shape& out = plan_.value(node.outputs[0]).shape;
    const std::array<int64_t, 2> padding{a.padding[0], a.padding[1]};
    // LibTorch has no unequal padding; ceil_mode gives the same output size
    // where the padding at the far end is what ceil_mode adds.
    bool ceil = false;
    for (int d = 0; d < 2; ++d) {
      const int64_t window = a.dilation[d] * (a.kernel[d] - 1) + 1;
      const int64_t floored =
          (in[2 + d] + 2 * a.padding[d] - window) / a.stride[d] + 1;
      ceil = ceil || floored != out[2 + d];
    }
    jit::Value* result = nullptr;
    if (node.kind == OpKind::kMaxPool) {
      result =
          Insert("aten::max_pool2d",
                 {In(node), List(a.kernel), List(a.stride), List(padding),
                  List(a.dilation), NamedValue(graph_->insertConstant(ceil))});
    } else {
      if (ceil) return Unsupported(node, "average pool with unequal padding");
      // LibTorch's 8-bit pool keeps the grid of its input.
      const auto& grid = plan_.value(node.outputs[0]).quant;
      const bool moves = grid && !(*grid == *plan_.value(node.inputs[0]).quant);
      const NamedValue input =
          moves ? NamedValue(Insert("aten::dequantize", {In(node)})) : In(node);
      result = Insert(
          "aten::avg_pool2d",
          {input, List(a.kernel), List(a.stride), List(padding),
           NamedValue(graph_->insertConstant(false)),
           NamedValue(graph_->insertConstant(a.count_include_pad)), None()});
      if (moves) result = Quantized(node, result);
    }
    values_[node.outputs[0]] = result;
    return absl::OkStatus();
  }

  jit::Value* EmitConcat(const Node& node, bool u8) {
    std::vector<jit::Value*> inputs;
    for (ValueId id : node.inputs) inputs.push_back(values_[id]);
    jit::Node* list = graph_->createList(c10::TensorType::get(), inputs);
    graph_->insertNode(list);
    std::vector<NamedValue> arguments{
        NamedValue(list->output()),
        NamedValue(
            graph_->insertConstant(std::get<ConcatAttrs>(node.attrs).axis))};
    if (!u8) return Insert("aten::cat", arguments);
    for (NamedValue& v : Grid(node)) arguments.push_back(v);
    return Insert("quantized::cat", arguments);
  }

  jit::Value* EmitSlice(const Node& node) {
    const auto& a = std::get<SliceAttrs>(node.attrs);
    const Shape& in = plan_.value(node.inputs[0]).shape;
    const Shape& out = plan_.value(node.outputs[0]).shape;
    jit::Value* value = values_[node.inputs[0]];
    for (size_t d = 1; d < in.size(); ++d) {
      if (in[d] == out[d] && a.start[d] == 0 && a.step[d] == 1) continue;
      const int64_t end = a.start[d] + (out[d] - 1) * a.step[d] + 1;
      const auto number = [this](int64_t n) {
        return NamedValue(graph_->insertConstant(n));
      };
      value = Insert("aten::slice",
                     {NamedValue(value), number(static_cast<int64_t>(d)),
                      number(a.start[d]), number(end), number(a.step[d])});
    }
    return value;
  }

  jit::Value* EmitPad(const Node& node) {
    const auto& a = std::get<PadAttrs>(node.attrs);
    Shape widths;
    for (size_t d = a.before.size() - 1; d >= 1; --d) {
      widths.push_back(a.before[d]);
      widths.push_back(a.after[d]);
    }
    return Insert("aten::constant_pad_nd",
                  {In(node), List(widths),
                   NamedValue(graph_->insertConstant(double{a.value}))});
  }

  const Plan& plan_;
  jit::Module module_;
  const std::shared_ptr<jit::Graph> graph_;
  jit::Value* self_ = nullptr;
  std::vector<jit::Value*> values_;
  int attributes_ = 0;
};

}  // namespace

Plan ForTorchScript(const Plan& plan) {
  return FuseDequantize(plan, {OpKind::kLinear});
}

absl::StatusOr<torch::jit::Module> EmitModule(const Plan& plan,
                                              const EmitOptions& options) {
  return BehindWall(absl::StatusCode::kInternal, "plan cannot be emitted",
                    [&] { return Emitter(plan).Emit(options); });
}

}  // namespace quantserve
