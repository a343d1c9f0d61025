#include "quant/onednn/optimise.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "quant/base/cpu.h"
#include "quant/onednn/dnnl_compat.h"
#include "quant/onednn/lowering.h"
#include "quant/plan/passes/passes.h"

namespace quantserve::onednn {
namespace {

// 255 * (64 + 64) fits 16 bits, 255 * (65 + 64) does not.
bool FitsSixteenBits(const Tensor& weights) {
  for (int8_t w : weights.span<int8_t>()) {
    if (w > 64 || w < -64) return false;
  }
  return true;
}

// The 8-bit products that must run in FP32 to be right.
std::set<std::string> NotExactInBytes(const Plan& plan) {
  std::set<std::string> names;
  if (Cpu().vnni || Cpu().amx_int8) return names;
  for (const Node& node : plan.nodes) {
    if (IsProduct(node) && plan.value(node.inputs[0]).quant &&
        !FitsSixteenBits(*node.weights.data)) {
      names.insert(node.name);
    }
  }
  return names;
}

// Those that oneDNN computes only with its reference kernel, or not at all.
std::set<std::string> WithoutKernel(const Plan& plan, int64_t batch) {
  const LoweredPlan lowered(plan);
  std::set<std::string> names;
  for (const Node& node : plan.nodes) {
    if (!IsProduct(node) || !plan.value(node.inputs[0]).quant) {
      continue;
    }
    const auto candidates =
        FindCandidates(ShapeOfProduct(lowered, node, {batch, 1, false}));
    if (candidates.empty() ||
        IsReference(candidates[0].product.implementation)) {
      names.insert(node.name);
    }
  }
  return names;
}

}  // namespace

Plan Optimise(const Plan& plan, int64_t batch,
              const std::set<std::string>& in_float,
              std::vector<std::string>* notes) {
  const auto note = [notes](const char* why, const std::set<std::string>& who) {
    if (who.empty()) return;
    notes->push_back(
        absl::StrCat(why, ", so in FP32: ", absl::StrJoin(who, ", ")));
  };
  Plan best = FuseDequantize(FuseResidualAdds(TrimPaddingTaps(plan)),
                             {OpKind::kConv2d, OpKind::kLinear});
  const std::set<std::string> inexact = NotExactInBytes(best);
  note("no VNNI: 8-bit sums could saturate", inexact);
  note("oneDNN's 8-bit kernels compute something else", in_float);
  best = EmulateInFloat(EmulateInFloat(std::move(best), inexact), in_float);
  const std::set<std::string> missing =
      WithoutKernel(MakePaddingExplicit(best), batch);
  note("oneDNN has no fast 8-bit kernel", missing);
  return MakePaddingExplicit(EmulateInFloat(std::move(best), missing));
}

}  // namespace quantserve::onednn
