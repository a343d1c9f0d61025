// Int8SelfTest: a matrix product whose terms are all extreme, against the exact
// result. A processor or library whose u8 x s8 products saturate in 16 bits
// gets about half of it.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "quant/base/cpu.h"
#include "quant/base/status_macros.h"
#include "quant/pipeline/pipeline.h"
#include "quant/plan/plan.h"
#include "quant/torch/torch.h"

namespace quantserve {
namespace {

constexpr int64_t kDepth = 256;
constexpr int64_t kRows = 16;

// y = W x, rows of W alternating between +largest and -largest.
Plan ExtremePlan(int8_t largest) {
  Plan plan;
  const ValueId x = plan.AddValue("x", {1, kDepth});
  const ValueId x8 = plan.AddValue("x8", {1, kDepth}, QuantParams{1, 0});
  const float out_scale = 255.0f * largest * kDepth / 127.0f;
  const ValueId y8 =
      plan.AddValue("y8", {1, kRows}, QuantParams{out_scale, 128});
  const ValueId y = plan.AddValue("y", {1, kRows});
  plan.inputs = {x};
  plan.outputs = {y};
  auto weight = std::make_shared<Tensor>(DType::kS8, Shape{kRows, kDepth});
  for (int64_t i = 0; i < weight->elements(); ++i) {
    const bool positive = (i / kDepth) % 2 == 0;
    weight->data<int8_t>()[i] =
        static_cast<int8_t>(positive ? largest : -largest);
  }
  Node quantize, linear, dequantize;
  quantize.kind = OpKind::kQuantize;
  quantize.inputs = {x};
  quantize.outputs = {x8};
  linear.kind = OpKind::kLinear;
  linear.inputs = {x8};
  linear.outputs = {y8};
  linear.weights = {std::move(weight), std::vector<float>(kRows, 1.0f), {}};
  dequantize.kind = OpKind::kDequantize;
  dequantize.inputs = {y8};
  dequantize.outputs = {y};
  plan.nodes = {quantize, linear, dequantize};
  return plan;
}

}  // namespace

absl::Status Int8SelfTest() {
  const int8_t largest = Cpu().vnni ? 127 : 63;
  EngineOptions options;
  options.ladder = {1};
  QS_ASSIGN_OR_RETURN(const auto engine,
                      CompileTorchScript(ExtremePlan(largest), options));
  QS_ASSIGN_OR_RETURN(const auto context, engine->NewContext());
  const std::vector<float> x(kDepth, 255.0f);
  std::vector<float> y(kRows);
  QS_RETURN_IF_ERROR(context->Run(1, {x.data()}, {y.data()}));
  const double step = 255.0 * largest * kDepth / 127.0;
  for (int64_t row = 0; row < kRows; ++row) {
    const double want = (row % 2 == 0 ? 1 : -1) * 255.0 * largest * kDepth;
    if (std::fabs(y[row] - want) > step) {
      return absl::InternalError(absl::StrCat(
          "INT8 self-test failed on this processor (", CpuSummary(Cpu()),
          "): a product of ", want, " came out as ", y[row],
          "; INT8 results cannot be trusted"));
    }
  }
  return absl::OkStatus();
}

}  // namespace quantserve
