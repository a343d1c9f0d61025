#include "quant/onednn/onednn_engine.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "quant/base/cpu.h"
#include "quant/base/memory.h"
#include "quant/base/status_macros.h"
#include "quant/onednn/chooser.h"
#include "quant/onednn/dnnl_compat.h"
#include "quant/onednn/huge_region.h"
#include "quant/onednn/lowering.h"
#include "quant/onednn/optimise.h"

namespace quantserve {
namespace {

using onednn::BoundProgram;
using onednn::Choices;
using onednn::HugeRegion;
using onednn::LoweredPlan;
using onednn::LoweringOptions;
using onednn::Program;
using onednn::Selection;
using onednn::Tuner;
using onednn::WeightStore;

// oneDNN and our own loops use as many threads as OpenMP gives the calling
// thread; the setting is each thread's own.
class ScopedThreads {
 public:
  explicit ScopedThreads(int threads) : before_(omp_get_max_threads()) {
    if (before_ != threads) omp_set_num_threads(threads);
    now_ = threads;
  }
  ~ScopedThreads() {
    if (before_ != now_) omp_set_num_threads(before_);
  }
  ScopedThreads(const ScopedThreads&) = delete;
  ScopedThreads& operator=(const ScopedThreads&) = delete;

 private:
  const int before_;
  int now_;
};

class EngineImpl;

class Context : public ExecutionContext {
 public:
  Context(const EngineImpl& engine, HugeRegion arena);
  absl::Status Run(int64_t batch, absl::Span<const float* const> inputs,
                   absl::Span<float* const> outputs) override;
  absl::StatusOr<std::vector<StepTime>> Profile(int64_t batch, int runs);

 private:
  const EngineImpl& engine_;
  const HugeRegion arena_;
  const dnnl::stream stream_;
  std::vector<BoundProgram> programs_;  // of each batch size of the ladder
};

class EngineImpl : public OneDnnEngine {
 public:
  EngineImpl(Plan plan, const EngineOptions& options)
      : lowered(std::move(plan)), options_(options) {
    for (ValueId id : lowered.plan.inputs) inputs_.push_back(SpecOf(id));
    for (ValueId id : lowered.plan.outputs) outputs_.push_back(SpecOf(id));
  }

  const EngineInfo& info() const override { return info_; }
  const std::vector<TensorSpec>& inputs() const override { return inputs_; }
  const std::vector<TensorSpec>& outputs() const override { return outputs_; }
  int64_t max_batch() const override { return options_.ladder.back(); }
  const std::string& choices_json() const override { return choices_json_; }
  int measurements() const override { return measurements_; }
  const Plan& plan() const override { return lowered.plan; }
  const EngineOptions& options() const { return options_; }
  const std::vector<Program>& programs() const { return programs_; }

  absl::StatusOr<std::unique_ptr<ExecutionContext>> NewContext()
      const override {
    QS_ASSIGN_OR_RETURN(auto context, MakeContext());
    return context;
  }
  absl::StatusOr<std::vector<StepTime>> Profile(int64_t batch,
                                                int runs) const override {
    QS_ASSIGN_OR_RETURN(const auto context, MakeContext());
    return context->Profile(batch, runs);
  }

  // Compiles every batch size. Products that no kernel computes right are
  // added to `failed`; the engine is of use only if that stays empty.
  absl::Status Compile(const OneDnnOptions& options,
                       std::vector<std::string> notes,
                       std::set<std::string>* failed);

  LoweredPlan lowered;

 private:
  TensorSpec SpecOf(ValueId id) const {
    const Value& value = lowered.plan.value(id);
    return {value.name, Shape(value.shape.begin() + 1, value.shape.end()),
            value.integers};
  }
  int64_t ArenaBytes() const {
    int64_t bytes = 0;
    for (const Program& p : programs_) bytes = std::max(bytes, p.arena_bytes());
    return bytes;
  }
  absl::StatusOr<std::unique_ptr<Context>> MakeContext() const {
    QS_ASSIGN_OR_RETURN(HugeRegion arena, HugeRegion::Allocate(ArenaBytes()));
    return std::make_unique<Context>(*this, std::move(arena));
  }

  const EngineOptions options_;
  EngineInfo info_;
  std::vector<TensorSpec> inputs_, outputs_;
  std::string choices_json_;
  int measurements_ = 0;
  WeightStore store_;
  std::vector<Program> programs_;
};

absl::Status EngineImpl::Compile(const OneDnnOptions& options,
                                 std::vector<std::string> notes,
                                 std::set<std::string>* failed) {
  Choices choices(options_.threads);
  choices.Load(options.choices_json);
  Tuner tuner(options_.threads);
  onednn::ProductChecker checker(options_.threads);
  std::set<std::string> slow;
  for (int64_t batch : options_.ladder) {
    const LoweringOptions lowering{batch, options_.threads, options.bf16};
    QS_ASSIGN_OR_RETURN(
        const std::vector<Selection> selections,
        onednn::Choose(lowered, lowering, store_, &checker, &tuner, &choices));
    std::vector<const onednn::Candidate*> chosen;
    for (const Selection& selection : selections) {
      chosen.push_back(selection.candidate());
      if (selection.chosen < 0 && !selection.shape.node.empty()) {
        failed->insert(selection.shape.node);
      }
      if (selection.chosen >= 0 &&
          onednn::IsReference(selection.candidate()->product.implementation)) {
        slow.insert(selection.shape.node);
      }
    }
    if (!failed->empty()) return absl::OkStatus();
    QS_ASSIGN_OR_RETURN(Program program,
                        onednn::Lower(lowered, chosen, lowering, &store_));
    programs_.push_back(std::move(program));
    // Of hundreds of primitives that were tried, the program holds a few.
    onednn::DropCachedPrimitives();
    ReturnFreedMemory();
  }
  if (!slow.empty()) {
    notes.push_back(absl::StrCat("oneDNN has only a reference kernel for ",
                                 absl::StrJoin(slow, ", ")));
  }
  choices_json_ = choices.ToJson();
  measurements_ = tuner.measurements();
  info_.engine = "onednn";
  info_.precision = lowered.plan.quantized() ? "int8"
                    : options.bf16           ? "bf16"
                                             : "fp32";
  for (const Node& node : lowered.plan.nodes) {
    if (const auto* island = std::get_if<IslandAttrs>(&node.attrs)) {
      info_.islands.push_back(island->island->op());
    } else if (node.kind == OpKind::kUnary &&
               !lowered.plan.value(node.inputs[0]).quant) {
      info_.islands.push_back(std::get<UnaryAttrs>(node.attrs).function);
    }
  }
  // The store has them now, in the layouts that the kernels want.
  for (Node& node : lowered.plan.nodes) node.weights.data.reset();
  info_.notes = std::move(notes);
  info_.weight_bytes = static_cast<int64_t>(store_.bytes());
  info_.context_bytes = ArenaBytes();
  return absl::OkStatus();
}

Context::Context(const EngineImpl& engine, HugeRegion arena)
    : engine_(engine), arena_(std::move(arena)), stream_(onednn::CpuEngine()) {
  for (const Program& program : engine.programs()) {
    programs_.emplace_back(program, arena_.data());
  }
}

absl::Status Context::Run(int64_t batch, absl::Span<const float* const> inputs,
                          absl::Span<float* const> outputs) {
  const std::vector<int64_t>& ladder = engine_.options().ladder;
  if (batch < 1 || batch > ladder.back()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "batch is ", batch, ", the engine takes 1 to ", ladder.back()));
  }
  if (inputs.size() != engine_.inputs().size() ||
      outputs.size() != engine_.outputs().size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(inputs.size(), " inputs and ", outputs.size(),
                     " outputs given, the engine has ", engine_.inputs().size(),
                     " and ", engine_.outputs().size()));
  }
  const ScopedThreads threads(engine_.options().threads);
  const size_t rung =
      std::lower_bound(ladder.begin(), ladder.end(), batch) - ladder.begin();
  return programs_[rung].Run(batch, inputs, outputs, stream_);
}

absl::StatusOr<std::vector<StepTime>> Context::Profile(int64_t batch,
                                                       int runs) {
  const std::vector<int64_t>& ladder = engine_.options().ladder;
  const auto at = std::find(ladder.begin(), ladder.end(), batch);
  if (at == ladder.end() || runs < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("batch ", batch, " is not on the ladder"));
  }
  const size_t rung = at - ladder.begin();
  std::vector<std::vector<float>> data;
  std::vector<const float*> inputs;
  std::vector<float*> outputs;
  for (const TensorSpec& spec : engine_.inputs()) {
    data.emplace_back(batch * spec.elements());
    inputs.push_back(data.back().data());
  }
  for (const TensorSpec& spec : engine_.outputs()) {
    data.emplace_back(batch * spec.elements());
    outputs.push_back(data.back().data());
  }
  const ScopedThreads threads(engine_.options().threads);
  const auto& steps = engine_.programs()[rung].steps();
  std::vector<std::vector<double>> seconds(steps.size());
  const auto args = programs_[rung].Args(batch, inputs, outputs);
  for (int run = 0; run < runs; ++run) {
    for (size_t i = 0; i < steps.size(); ++i) {
      const auto start = std::chrono::steady_clock::now();
      QS_RETURN_IF_ERROR(programs_[rung].RunStep(i, args, stream_));
      seconds[i].push_back(std::chrono::duration<double>(
                               std::chrono::steady_clock::now() - start)
                               .count());
    }
  }
  std::vector<StepTime> times;
  for (size_t i = 0; i < steps.size(); ++i) {
    std::nth_element(seconds[i].begin(), seconds[i].begin() + runs / 2,
                     seconds[i].end());
    times.push_back({steps[i].name, seconds[i][runs / 2]});
  }
  return times;
}

absl::Status CheckOptions(const Plan& plan, const EngineOptions& options,
                          const OneDnnOptions& onednn_options) {
  if (options.ladder.empty() || options.ladder.front() < 1 ||
      !std::is_sorted(options.ladder.begin(), options.ladder.end(),
                      std::less_equal<int64_t>())) {
    return absl::InvalidArgumentError(
        absl::StrCat("ladder is [", absl::StrJoin(options.ladder, ","),
                     "], want ascending batch sizes from 1"));
  }
  if (options.threads < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads is ", options.threads, ", want at least 1"));
  }
  for (const Value& value : plan.values) {
    if (value.shape.empty() || value.shape[0] != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("value \"", value.name, "\" has shape ",
                       ShapeString(value.shape), ", want [1,...]"));
    }
  }
  if (onednn_options.bf16 && (plan.quantized() || !Cpu().avx512_bf16)) {
    return absl::FailedPreconditionError(
        plan.quantized() ? "bf16 was asked for a quantized plan"
                         : "this processor has no bf16 instructions");
  }
  return plan.Validate();
}

}  // namespace

absl::StatusOr<std::unique_ptr<OneDnnEngine>> CompileOneDnn(
    const Plan& plan, const EngineOptions& engine_options,
    const OneDnnOptions& options) {
  QS_RETURN_IF_ERROR(CheckOptions(plan, engine_options, options));
  const ScopedThreads threads(engine_options.threads);
  std::set<std::string> in_float;
  while (true) {
    std::vector<std::string> notes;
    auto engine = std::make_unique<EngineImpl>(
        onednn::Optimise(plan, engine_options.ladder.front(), in_float, &notes),
        engine_options);
    QS_RETURN_IF_ERROR(engine->lowered.plan.Validate());
    std::set<std::string> failed;
    QS_RETURN_IF_ERROR(engine->Compile(options, std::move(notes), &failed));
    if (failed.empty()) return engine;
    // 8-bit products can still run in FP32; what failed there cannot run here.
    for (const std::string& name : failed) {
      if (!in_float.insert(name).second || !plan.quantized()) {
        return absl::InternalError(
            absl::StrCat("oneDNN has no right kernel for \"", name, "\""));
      }
    }
  }
}

std::string OneDnnVersion() { return onednn::DnnlVersion(); }

void ForgetPrimitives() { onednn::DropCachedPrimitives(); }

}  // namespace quantserve
