// What a plan becomes for one batch size: steps over buffers, and a place for
// every buffer in one arena. A Program is immutable once finished and shared;
// a BoundProgram belongs to one execution context.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "quant/onednn/dnnl_compat.h"

namespace quantserve::onednn {

using BufferId = int32_t;
constexpr BufferId kNoBuffer = -1;

// What a step of our own sees while it runs.
struct RunArgs {
  std::byte* arena = nullptr;
  const int64_t* offsets = nullptr;  // of each buffer
  int64_t batch = 0;                 // as asked for, at most the program's
  absl::Span<const float* const> inputs;
  absl::Span<float* const> outputs;

  template <typename T>
  T* at(BufferId id) const {
    return reinterpret_cast<T*>(arena + offsets[id]);
  }
};

// Bytes moved or numbers computed by our own loops.
using Kernel = std::function<absl::Status(const RunArgs&)>;

// An argument of a primitive: a buffer of the arena or a constant.
struct PrimitiveArg {
  int arg = 0;
  MemoryDesc desc;
  BufferId buffer = kNoBuffer;
  const void* constant = nullptr;  // if there is no buffer
};

struct Step {
  std::string name;  // for profiles: "conv1 brgconv:avx512_core_vnni"
  std::vector<BufferId> buffers;  // read or written
  Kernel kernel;                  // empty: the primitive
  dnnl::primitive primitive;
  std::vector<PrimitiveArg> args;
};

class Program {
 public:
  BufferId NewBuffer(int64_t bytes);
  void AddKernel(std::string name, std::vector<BufferId> buffers,
                 Kernel kernel);
  void AddPrimitive(std::string name, const dnnl::primitive& primitive,
                    std::vector<PrimitiveArg> args);
  // Places every buffer. Two buffers share bytes only if no step lies in the
  // life of both. Call once, last.
  void Finish();

  const std::vector<Step>& steps() const { return steps_; }
  const std::vector<int64_t>& offsets() const { return offsets_; }
  int64_t arena_bytes() const { return arena_bytes_; }

 private:
  struct Buffer {
    int64_t bytes = 0;
    int first = -1, last = -1;  // steps
  };
  void Use(const std::vector<BufferId>& buffers);

  std::vector<Buffer> buffers_;
  std::vector<Step> steps_;
  std::vector<int64_t> offsets_;
  int64_t arena_bytes_ = 0;
};

// Appends a change of layout or type.
void EmitReorder(const std::string& name, const Reorder& reorder, BufferId from,
                 BufferId to, Program* program);

// Memory objects and argument lists made once. Not thread-safe. `program` and
// `arena` (64-byte aligned, program.arena_bytes() long) must outlive it.
class BoundProgram {
 public:
  BoundProgram(const Program& program, std::byte* arena);

  absl::Status Run(int64_t batch, absl::Span<const float* const> inputs,
                   absl::Span<float* const> outputs,
                   const dnnl::stream& stream) const;
  // Runs one step alone; `args` as in Run. For measurements.
  absl::Status RunStep(size_t step, const RunArgs& args,
                       const dnnl::stream& stream) const;
  RunArgs Args(int64_t batch, absl::Span<const float* const> inputs,
               absl::Span<float* const> outputs) const;

 private:
  const Program& program_;
  std::byte* const arena_;
  std::vector<dnnl::memory> memories_;
  std::vector<std::vector<dnnl_exec_arg_t>> args_;  // of each step
};

}  // namespace quantserve::onednn
