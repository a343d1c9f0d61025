#include "tests/testing/plan_builder.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/plan/fuse.h"
#include "quant/plan/quantize_plan.h"
#include "quant/plan/reference.h"

namespace quantserve::testing {
namespace {

int64_t Out(int64_t in, int64_t before, int64_t after, int64_t window,
            int64_t stride) {
  return (in + before + after - window) / stride + 1;
}

class ElementwiseIsland : public quantserve::Island {
 public:
  ElementwiseIsland(std::string op, std::function<float(float)> function)
      : op_(std::move(op)), function_(std::move(function)) {}
  const std::string& op() const override { return op_; }
  absl::Status Run(absl::Span<const float* const> inputs,
                   absl::Span<const Shape> input_shapes,
                   absl::Span<float* const> outputs,
                   absl::Span<const Shape>) const override {
    int64_t elements = 1;
    for (int64_t dim : input_shapes[0]) elements *= dim;
    std::transform(inputs[0], inputs[0] + elements, outputs[0], function_);
    return absl::OkStatus();
  }

 private:
  const std::string op_;
  const std::function<float(float)> function_;
};

float Function(const std::string& name, float x) {
  const float sigmoid = 1 / (1 + std::exp(-x));
  if (name == "sigmoid") return sigmoid;
  if (name == "silu") return x * sigmoid;
  return std::tanh(x);
}

[[noreturn]] void Die(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::abort();
}

}  // namespace

std::vector<float> PlanBuilder::RandomFloats(int64_t count, double deviation) {
  std::normal_distribution<float> normal(0, static_cast<float>(deviation));
  std::vector<float> floats(count);
  for (float& f : floats) f = normal(random_);
  return floats;
}

ValueId PlanBuilder::AddNode(Node node, Shape shape) {
  node.name = absl::StrCat("n", plan_.nodes.size());
  const ValueId out = plan_.AddValue(node.name, std::move(shape));
  node.outputs = {out};
  plan_.nodes.push_back(std::move(node));
  return out;
}

ValueId PlanBuilder::Input(Shape shape) {
  const ValueId id = plan_.AddValue(absl::StrCat("input", plan_.inputs.size()),
                                    std::move(shape));
  plan_.inputs.push_back(id);
  return id;
}

ValueId PlanBuilder::Conv(ValueId in, const ConvOptions& o,
                          std::optional<Clamp> clamp) {
  const Shape x = ShapeOf(in);
  const int64_t fan_in = x[1] / o.groups * o.kernel * o.kernel;
  Tensor weights(DType::kF32, {o.out, x[1] / o.groups, o.kernel, o.kernel});
  const auto random = RandomFloats(weights.elements(), std::sqrt(2.0 / fan_in));
  std::copy(random.begin(), random.end(), weights.data<float>());
  Node node;
  node.kind = OpKind::kConv2d;
  node.inputs = {in};
  node.attrs = Conv2dAttrs{{o.stride, o.stride},
                           {o.dilation, o.dilation},
                           {o.padding, o.padding, o.padding, o.padding},
                           o.groups};
  node.weights.data = std::make_shared<const Tensor>(std::move(weights));
  if (o.bias) node.weights.bias = RandomFloats(o.out, 0.1);
  node.clamp = clamp;
  const int64_t window = o.dilation * (o.kernel - 1) + 1;
  return AddNode(std::move(node),
                 {1, o.out, Out(x[2], o.padding, o.padding, window, o.stride),
                  Out(x[3], o.padding, o.padding, window, o.stride)});
}

ValueId PlanBuilder::Linear(ValueId in, int64_t out,
                            std::optional<Clamp> clamp) {
  Shape shape = ShapeOf(in);
  Tensor weights(DType::kF32, {out, shape.back()});
  const auto random =
      RandomFloats(weights.elements(), std::sqrt(1.0 / shape.back()));
  std::copy(random.begin(), random.end(), weights.data<float>());
  Node node;
  node.kind = OpKind::kLinear;
  node.inputs = {in};
  node.weights.data = std::make_shared<const Tensor>(std::move(weights));
  node.weights.bias = RandomFloats(out, 0.1);
  node.clamp = clamp;
  shape.back() = out;
  return AddNode(std::move(node), shape);
}

ValueId PlanBuilder::Add(ValueId a, ValueId b, std::optional<Clamp> clamp) {
  Node node;
  node.kind = OpKind::kAdd;
  node.inputs = {a, b};
  node.clamp = clamp;
  return AddNode(std::move(node), ShapeOf(a));
}

ValueId PlanBuilder::Mul(ValueId a, ValueId b) {
  Node node;
  node.kind = OpKind::kMul;
  node.inputs = {a, b};
  return AddNode(std::move(node), ShapeOf(a));
}

ValueId PlanBuilder::MaxPool(ValueId in, int64_t kernel, int64_t stride,
                             int64_t padding) {
  const Shape x = ShapeOf(in);
  Node node;
  node.kind = OpKind::kMaxPool;
  node.inputs = {in};
  node.attrs = PoolAttrs{{kernel, kernel},
                         {stride, stride},
                         {1, 1},
                         {padding, padding, padding, padding},
                         false};
  return AddNode(std::move(node),
                 {1, x[1], Out(x[2], padding, padding, kernel, stride),
                  Out(x[3], padding, padding, kernel, stride)});
}

ValueId PlanBuilder::AvgPool(ValueId in, int64_t kernel, int64_t stride,
                             int64_t padding, bool count_include_pad) {
  const ValueId out = MaxPool(in, kernel, stride, padding);
  Node& node = plan_.nodes.back();
  node.kind = OpKind::kAvgPool;
  std::get<PoolAttrs>(node.attrs).count_include_pad = count_include_pad;
  return out;
}

ValueId PlanBuilder::GlobalAvgPool(ValueId in) {
  const Shape x = ShapeOf(in);
  Node node;
  node.kind = OpKind::kAvgPool;
  node.inputs = {in};
  node.attrs = PoolAttrs{{x[2], x[3]}, {1, 1}, {1, 1}, {0, 0, 0, 0}, false};
  return AddNode(std::move(node), {1, x[1], 1, 1});
}

ValueId PlanBuilder::Reshape(ValueId in, Shape shape) {
  Node node;
  node.kind = OpKind::kReshape;
  node.inputs = {in};
  return AddNode(std::move(node), std::move(shape));
}

ValueId PlanBuilder::Flatten(ValueId in) {
  return Reshape(in, {1, plan_.value(in).elements()});
}

ValueId PlanBuilder::Concat(const std::vector<ValueId>& ins, int64_t axis) {
  Shape shape = ShapeOf(ins[0]);
  shape[axis] = 0;
  for (ValueId id : ins) shape[axis] += ShapeOf(id)[axis];
  Node node;
  node.kind = OpKind::kConcat;
  node.inputs = ins;
  node.attrs = ConcatAttrs{axis};
  return AddNode(std::move(node), shape);
}

ValueId PlanBuilder::Slice(ValueId in, Shape start, Shape step, Shape shape) {
  Node node;
  node.kind = OpKind::kSlice;
  node.inputs = {in};
  node.attrs = SliceAttrs{std::move(start), std::move(step)};
  return AddNode(std::move(node), std::move(shape));
}

ValueId PlanBuilder::Permute(ValueId in, Shape order) {
  Shape shape;
  for (int64_t d : order) shape.push_back(ShapeOf(in)[d]);
  Node node;
  node.kind = OpKind::kPermute;
  node.inputs = {in};
  node.attrs = PermuteAttrs{std::move(order)};
  return AddNode(std::move(node), std::move(shape));
}

ValueId PlanBuilder::Pad(ValueId in, Shape before, Shape after, float value) {
  Shape shape = ShapeOf(in);
  for (size_t d = 0; d < shape.size(); ++d) shape[d] += before[d] + after[d];
  Node node;
  node.kind = OpKind::kPad;
  node.inputs = {in};
  node.attrs = PadAttrs{std::move(before), std::move(after), value};
  return AddNode(std::move(node), shape);
}

ValueId PlanBuilder::ClampTo(ValueId in, float lo, float hi) {
  Node node;
  node.kind = OpKind::kClamp;
  node.inputs = {in};
  node.clamp = Clamp{lo, hi};
  return AddNode(std::move(node), ShapeOf(in));
}

ValueId PlanBuilder::Unary(ValueId in, const std::string& function) {
  Node node;
  node.kind = OpKind::kUnary;
  node.inputs = {in};
  UnaryAttrs attrs;
  attrs.function = function;
  attrs.island = std::make_shared<const ElementwiseIsland>(
      function, [function](float x) { return Function(function, x); });
  node.attrs = attrs;
  return AddNode(std::move(node), ShapeOf(in));
}

ValueId PlanBuilder::Island(ValueId in) {
  Node node;
  node.kind = OpKind::kIsland;
  node.inputs = {in};
  node.attrs = IslandAttrs{std::make_shared<const ElementwiseIsland>(
      "test::twice", [](float x) { return 2 * x; })};
  return AddNode(std::move(node), ShapeOf(in));
}

ValueId PlanBuilder::BasicBlock(ValueId in, int64_t channels, int64_t stride) {
  ValueId x = Conv(in, {channels, 3, stride, 1}, Relu());
  x = Conv(x, {channels, 3, 1, 1});
  ValueId shortcut = in;
  if (stride != 1 || ShapeOf(in)[1] != channels) {
    shortcut = Conv(in, {channels, 1, stride, 0});
  }
  return Add(x, shortcut, Relu());
}

Plan PlanBuilder::Build(const std::vector<ValueId>& outputs) {
  plan_.outputs = outputs;
  return plan_;
}

Plan RandomResNet18(int64_t size, int64_t classes, uint32_t seed) {
  PlanBuilder b(seed);
  ValueId x = b.Input({1, 3, size, size});
  x = b.Conv(x, {64, 7, 2, 3}, Relu());
  x = b.MaxPool(x, 3, 2, 1);
  int64_t channels = 64;
  for (int stage = 0; stage < 4; ++stage, channels *= 2) {
    x = b.BasicBlock(x, channels, stage == 0 ? 1 : 2);
    x = b.BasicBlock(x, channels, 1);
  }
  x = b.Flatten(b.GlobalAvgPool(x));
  return b.Build({b.Linear(x, classes)});
}

Plan RandomResNet20(int64_t size, int64_t classes, uint32_t seed) {
  PlanBuilder b(seed);
  ValueId x = b.Input({1, 3, size, size});
  x = b.Conv(x, {16, 3, 1, 1}, Relu());
  int64_t channels = 16;
  for (int stage = 0; stage < 3; ++stage, channels *= 2) {
    x = b.BasicBlock(x, channels, stage == 0 ? 1 : 2);
    x = b.BasicBlock(x, channels, 1);
    x = b.BasicBlock(x, channels, 1);
  }
  x = b.Flatten(b.GlobalAvgPool(x));
  return b.Build({b.Linear(x, classes)});
}

std::vector<std::vector<float>> RandomInputs(const Plan& plan, int64_t batch,
                                             uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  std::vector<std::vector<float>> inputs;
  for (ValueId id : plan.inputs) {
    inputs.emplace_back(batch * plan.value(id).elements());
    for (float& f : inputs.back()) f = normal(random);
  }
  return inputs;
}

Plan Quantized(const Plan& plan, const QuantizedForTest& options) {
  Plan fused = plan;
  FuseClamps(&fused);
  const auto inputs = RandomInputs(fused, options.samples, 12345);
  std::vector<const float*> pointers;
  for (const auto& input : inputs) pointers.push_back(input.data());
  const auto values = RunReferenceValues(fused, options.samples, pointers);
  if (!values.ok()) Die(values.status());
  Recipe recipe;
  for (size_t i = 0; i < fused.values.size(); ++i) {
    const auto numbers = (*values)[i].span<float>();
    if (numbers.empty()) continue;
    const auto [lo, hi] = std::minmax_element(numbers.begin(), numbers.end());
    const float most = std::max({std::abs(*lo), std::abs(*hi), 1e-3f});
    ValueRange& range = recipe.ranges[fused.values[i].name];
    range.affine = {std::min(*lo, 0.0f), std::max(*hi, 1e-3f)};
    range.symmetric = {-most, most};
  }
  recipe.weight_bits = options.weight_bits;
  QuantizePlanOptions quantize;
  if (options.affine) quantize.symmetric_share = 2;
  auto quantized = QuantizePlan(fused, recipe, quantize);
  if (!quantized.ok()) Die(quantized.status());
  return std::move(quantized->plan);
}

}  // namespace quantserve::testing
