// A model compiled for this machine. Two implementations: LibTorch's operators
// (quant/torch) and oneDNN primitives (quant/onednn).
//
//   ASSIGN(auto context, engine->NewContext());        // one for each worker
//   context->Run(batch, {image}, {logits});
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "quant/tensor/tensor.h"

namespace quantserve {

// An input or output: FP32, `shape` without the batch dimension.
struct TensorSpec {
  std::string name;
  Shape shape;
  bool integers = false;  // an input of whole numbers: token ids
  int64_t elements() const {
    int64_t n = 1;
    for (int64_t dim : shape) n *= dim;
    return n;
  }
};

struct EngineInfo {
  std::string engine;                // "torchscript", "onednn"
  std::string precision;             // "fp32", "int8", "bf16"
  std::vector<std::string> islands;  // operators left to LibTorch inside it
  std::vector<std::string> notes;    // slower paths taken, and why
  int64_t weight_bytes = 0;          // shared by all contexts
  int64_t context_bytes = 0;         // of each context
};

struct EngineOptions {
  // Batch sizes that are compiled; a batch is padded up to the next one.
  // Ascending, starting at 1.
  std::vector<int64_t> ladder = {1, 2, 4, 8};
  int threads = 1;  // of each context
};

// One worker's buffers. Not thread-safe; contexts of one engine may run at the
// same time. Must not outlive its engine.
class ExecutionContext {
 public:
  virtual ~ExecutionContext() = default;

  // inputs[i] holds batch * engine.inputs()[i].elements() floats, row-major;
  // outputs likewise, written whole. 1 <= batch <= engine.max_batch(), else
  // INVALID_ARGUMENT. INTERNAL if the engine fails on valid input.
  virtual absl::Status Run(int64_t batch, absl::Span<const float* const> inputs,
                           absl::Span<float* const> outputs) = 0;
};

// Immutable; thread-safe.
class Engine {
 public:
  virtual ~Engine() = default;

  virtual const EngineInfo& info() const = 0;
  virtual const std::vector<TensorSpec>& inputs() const = 0;
  virtual const std::vector<TensorSpec>& outputs() const = 0;
  virtual int64_t max_batch() const = 0;
  virtual absl::StatusOr<std::unique_ptr<ExecutionContext>> NewContext()
      const = 0;
};

}  // namespace quantserve
