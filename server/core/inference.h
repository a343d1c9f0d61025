// One request for a model's outputs, and what comes of it.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "quant/data/preprocessing.h"
#include "quant/tensor/tensor.h"
#include "server/core/variant.h"

namespace quantserve {

// One input of a request: whole samples, row-major, in the caller's memory.
struct InferenceInput {
  // kF32, kU8 to be preprocessed, or kI64 with values that a float holds.
  DType dtype = DType::kF32;
  const void* data = nullptr;  // of any alignment
};

// Priorities that callers may ask for; what is left to the server itself goes
// below them.
inline constexpr int kLowestPriority = -10;
inline constexpr int kHighestPriority = 10;
inline constexpr int kBackgroundPriority = kLowestPriority - 1;

struct InferenceRequest {
  std::shared_ptr<const ServedVariant> variant;
  int64_t batch = 1;  // 1 <= batch <= the engine's max_batch()
  // Of kU8 inputs; outlives the request. May be null if there are none.
  const Preprocessing* preprocessing = nullptr;
  // As many as the engine has, in its order. The caller keeps the memory until
  // `done` is called.
  absl::InlinedVector<InferenceInput, 2> inputs;
  absl::InlinedVector<float*, 2> outputs;
  // Of those that wait, the highest goes first.
  int priority = 0;
  // On the steady clock; an answer after it is of no use to the caller.
  absl::Time deadline = absl::InfiniteFuture();
  // From Scheduler::NewTicket, to cancel it by; 0: it can't be cancelled.
  uint64_t ticket = 0;
};

struct InferenceResult {
  absl::Status status;
  absl::Duration queue;    // from Submit to a worker's taking it up
  absl::Duration compute;  // preprocessing and the engine, of the whole batch
  int64_t batch_size = 0;  // samples that were run together; 0: it was not run
};

}  // namespace quantserve
