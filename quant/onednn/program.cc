#include "quant/onednn/program.h"

#include <algorithm>
#include <numeric>

namespace quantserve::onednn {
namespace {

constexpr int64_t kAlignment = 64;

int64_t RoundUp(int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

BufferId Program::NewBuffer(int64_t bytes) {
  buffers_.push_back({RoundUp(bytes), -1, -1});
  return static_cast<BufferId>(buffers_.size() - 1);
}

void Program::Use(const std::vector<BufferId>& buffers) {
  const int step = static_cast<int>(steps_.size());
  for (BufferId id : buffers) {
    if (buffers_[id].first < 0) buffers_[id].first = step;
    buffers_[id].last = step;
  }
}

void Program::AddKernel(std::string name, std::vector<BufferId> buffers,
                        Kernel kernel) {
  Use(buffers);
  Step step;
  step.name = std::move(name);
  step.buffers = std::move(buffers);
  step.kernel = std::move(kernel);
  steps_.push_back(std::move(step));
}

void Program::AddPrimitive(std::string name, const dnnl::primitive& primitive,
                           std::vector<PrimitiveArg> args) {
  Step step;
  step.name = std::move(name);
  for (const PrimitiveArg& arg : args) {
    if (arg.buffer != kNoBuffer) step.buffers.push_back(arg.buffer);
  }
  Use(step.buffers);
  step.primitive = primitive;
  step.args = std::move(args);
  steps_.push_back(std::move(step));
}

void Program::Finish() {
  // Largest first, each at the lowest place that is free during its life.
  std::vector<BufferId> order(buffers_.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [this](BufferId a, BufferId b) {
    return buffers_[a].bytes > buffers_[b].bytes;
  });
  offsets_.assign(buffers_.size(), 0);
  std::vector<BufferId> placed;  // by offset
  for (BufferId id : order) {
    const Buffer& buffer = buffers_[id];
    if (buffer.first < 0) continue;
    int64_t offset = 0;
    for (BufferId other : placed) {
      const Buffer& o = buffers_[other];
      if (o.last < buffer.first || buffer.last < o.first) continue;
      if (offset + buffer.bytes <= offsets_[other]) break;
      offset = std::max(offset, offsets_[other] + o.bytes);
    }
    offsets_[id] = offset;
    arena_bytes_ = std::max(arena_bytes_, offset + buffer.bytes);
    const auto at = std::upper_bound(
        placed.begin(), placed.end(), offset,
        [this](int64_t o, BufferId b) { return o < offsets_[b]; });
    placed.insert(at, id);
  }
}

void EmitReorder(const std::string& name, const Reorder& reorder, BufferId from,
                 BufferId to, Program* program) {
  std::vector<PrimitiveArg> args = {
      {DNNL_ARG_FROM, reorder.from, from, nullptr},
      {DNNL_ARG_TO, reorder.to, to, nullptr}};
  const size_t scratch = DescBytes(reorder.scratchpad);
  if (scratch > 0) {
    args.push_back({DNNL_ARG_SCRATCHPAD, reorder.scratchpad,
                    program->NewBuffer(static_cast<int64_t>(scratch)),
                    nullptr});
  }
  program->AddPrimitive(name, reorder.primitive, std::move(args));
}

BoundProgram::BoundProgram(const Program& program, std::byte* arena)
    : program_(program), arena_(arena) {
  for (const Step& step : program.steps()) {
    std::vector<dnnl_exec_arg_t> args;
    for (const PrimitiveArg& arg : step.args) {
      void* p = arg.buffer == kNoBuffer
                    ? const_cast<void*>(arg.constant)
                    : arena_ + program.offsets()[arg.buffer];
      memories_.emplace_back(arg.desc, CpuEngine(), p);
      args.push_back({arg.arg, memories_.back().get()});
    }
    args_.push_back(std::move(args));
  }
}

RunArgs BoundProgram::Args(int64_t batch, absl::Span<const float* const> inputs,
                           absl::Span<float* const> outputs) const {
  return {arena_, program_.offsets().data(), batch, inputs, outputs};
}

absl::Status BoundProgram::RunStep(size_t step, const RunArgs& args,
                                   const dnnl::stream& stream) const {
  const Step& s = program_.steps()[step];
  if (s.kernel) return s.kernel(args);
  return Execute(s.primitive, stream, args_[step]);
}

absl::Status BoundProgram::Run(int64_t batch,
                               absl::Span<const float* const> inputs,
                               absl::Span<float* const> outputs,
                               const dnnl::stream& stream) const {
  const RunArgs args = Args(batch, inputs, outputs);
  for (size_t i = 0; i < program_.steps().size(); ++i) {
    absl::Status status = RunStep(i, args, stream);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace quantserve::onednn
