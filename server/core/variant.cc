#include "server/core/variant.h"

#include <utility>

#include "absl/time/clock.h"
#include "quant/base/status_macros.h"
#include "server/core/server_options.h"
#include "server/core/steady_clock.h"

namespace quantserve {
namespace {

// Runs each batch size once, so that no request is the first to touch the
// context's memory, and again for `estimate`, unless that is null.
absl::Status WarmUp(const Engine& engine, ExecutionContext* context,
                    ComputeEstimate* estimate) {
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
  for (int64_t size : BatchLadder(static_cast<int>(most))) {
    QS_RETURN_IF_ERROR(context->Run(size, inputs, outputs));
    if (estimate == nullptr) continue;
    const absl::Time start = SteadyNow();
    QS_RETURN_IF_ERROR(context->Run(size, inputs, outputs));
    estimate->Record(size, SteadyNow() - start);
  }
  return absl::OkStatus();
}

}  // namespace

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
  variant->estimate = std::make_unique<ComputeEstimate>(
      BatchLadder(static_cast<int>(variant->engine().max_batch())));
  for (int i = 0; i < workers; ++i) {
    QS_ASSIGN_OR_RETURN(auto context, variant->engine().NewContext());
    QS_RETURN_IF_ERROR(WarmUp(variant->engine(), context.get(),
                              i == 0 ? variant->estimate.get() : nullptr));
    variant->contexts.push_back(std::move(context));
  }
  return variant;
}

}  // namespace quantserve
