#include "server/core/variant.h"

#include <utility>

#include "absl/time/clock.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

// Runs the smallest and the largest batch once, so that no request is the first
// to touch the context's memory.
absl::Status WarmUp(const Engine& engine, ExecutionContext* context) {
  const int64_t most = engine.max_batch();
  std::vector<std::vector<float>> buffers;
  std::vector<const float*> inputs;
  std::vector<float*> outputs;
  for (const TensorSpec& spec : engine.inputs()) {
    inputs.push_back(buffers.emplace_back(most * spec.elements()).data());
  }
  for (const TensorSpec& spec : engine.outputs()) {
    outputs.push_back(buffers.emplace_back(most * spec.elements()).data());
  }
  QS_RETURN_IF_ERROR(context->Run(1, inputs, outputs));
  return context->Run(most, inputs, outputs);
}

}  // namespace

const char* VariantName(VariantId id) {
  switch (id) {
    case VariantId::kFp32:
      return "fp32";
    case VariantId::kInt8:
      return "int8";
    case VariantId::kBf16:
      return "bf16";
  }
  return "unknown";
}

std::optional<VariantId> ParseVariant(absl::string_view name) {
  for (VariantId id : kAllVariants) {
    if (name == VariantName(id)) return id;
  }
  return std::nullopt;
}

absl::StatusOr<std::unique_ptr<ServedVariant>> MakeServedVariant(
    VariantId id, int64_t generation, CompiledVariant compiled, Scores scores,
    int workers) {
  auto variant = std::make_unique<ServedVariant>();
  variant->id = id;
  variant->generation = generation;
  variant->compiled = std::move(compiled);
  variant->scores = std::move(scores);
  variant->scores.evaluation.outputs = {};
  variant->published = absl::Now();
  for (int i = 0; i < workers; ++i) {
    QS_ASSIGN_OR_RETURN(auto context, variant->engine().NewContext());
    QS_RETURN_IF_ERROR(WarmUp(variant->engine(), context.get()));
    variant->contexts.push_back(std::move(context));
  }
  return variant;
}

}  // namespace quantserve
