// Makes plans for tests and benchmarks: random weights, any shape, quantized by
// the product's own quantizer over ranges seen on random inputs.
//
//   PlanBuilder b(/*seed=*/1);
//   ValueId x = b.Input({1, 3, 32, 32});
//   x = b.Conv(x, {.out = 16, .kernel = 3, .padding = 1}, Relu());
//   Plan plan = b.Build({x});
//   Plan int8 = Quantized(plan);
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "quant/plan/plan.h"

namespace quantserve::testing {

struct ConvOptions {
  int64_t out = 1;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t padding = 0;
  int64_t dilation = 1;
  int64_t groups = 1;
  bool bias = true;
};

inline Clamp Relu() { return Clamp{}; }

class PlanBuilder {
 public:
  explicit PlanBuilder(uint32_t seed) : random_(seed) {}

  ValueId Input(Shape shape);
  ValueId Conv(ValueId in, const ConvOptions& options,
               std::optional<Clamp> clamp = std::nullopt);
  ValueId Linear(ValueId in, int64_t out,
                 std::optional<Clamp> clamp = std::nullopt);
  ValueId Add(ValueId a, ValueId b, std::optional<Clamp> clamp = std::nullopt);
  ValueId Mul(ValueId a, ValueId b);
  ValueId MaxPool(ValueId in, int64_t kernel, int64_t stride, int64_t padding);
  ValueId AvgPool(ValueId in, int64_t kernel, int64_t stride, int64_t padding,
                  bool count_include_pad = false);
  ValueId GlobalAvgPool(ValueId in);
  ValueId Reshape(ValueId in, Shape shape);
  ValueId Flatten(ValueId in);
  ValueId Concat(const std::vector<ValueId>& ins, int64_t axis);
  ValueId Slice(ValueId in, Shape start, Shape step, Shape shape);
  ValueId Permute(ValueId in, Shape order);
  ValueId Pad(ValueId in, Shape before, Shape after, float value = 0);
  ValueId ClampTo(ValueId in, float lo, float hi);
  // "silu", "sigmoid", "tanh"; runs as an island in FP32.
  ValueId Unary(ValueId in, const std::string& function);
  // An FP32 island that doubles every number.
  ValueId Island(ValueId in);
  // relu(bn(conv)) twice with a shortcut, as in ResNet-18.
  ValueId BasicBlock(ValueId in, int64_t channels, int64_t stride);

  Plan Build(const std::vector<ValueId>& outputs);

 private:
  ValueId AddNode(Node node, Shape shape);
  std::vector<float> RandomFloats(int64_t count, double deviation);
  const Shape& ShapeOf(ValueId id) const { return plan_.value(id).shape; }

  Plan plan_;
  std::mt19937 random_;
};

// torchvision's ResNet-18 with `classes` outputs on `size` x `size` images.
Plan RandomResNet18(int64_t size, int64_t classes = 10, uint32_t seed = 1);
// The ResNet-20 of CIFAR-10's paper (He et al. 2015, section 4.2), likewise.
Plan RandomResNet20(int64_t size, int64_t classes = 10, uint32_t seed = 1);

// For each input of the plan, `batch` samples from N(0, 1).
std::vector<std::vector<float>> RandomInputs(const Plan& plan, int64_t batch,
                                             uint32_t seed);

struct QuantizedForTest {
  int weight_bits = 8;
  int64_t samples = 2;
  // Never symmetric where a convolution reads: general zero points.
  bool affine = false;
};

// The plan on 8-bit grids; dies if the quantizer refuses.
Plan Quantized(const Plan& plan, const QuantizedForTest& options = {});

}  // namespace quantserve::testing
