#include "quant/torch/torchscript_engine.h"

#include <torch/csrc/jit/passes/tensorexpr_fuser.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <cstring>

#include "quant/base/memory.h"
#include "quant/base/status_macros.h"
#include "quant/torch/emit.h"
#include "quant/torch/load.h"
#include "quant/torch/operator_walk.h"
#include "quant/torch/wall.h"

namespace quantserve {
namespace {

using torch::jit::Module;

using Inputs = std::vector<at::Tensor>;
// Something that maps a batch to the model's outputs.
using Forward = std::function<c10::IValue(const Inputs&)>;

Forward JitForward(Module module) {
  auto shared = std::make_shared<Module>(std::move(module));
  return [shared](const Inputs& inputs) {
    return shared->forward({inputs.begin(), inputs.end()});
  };
}

std::vector<std::string> Islands(const Plan& plan) {
  std::vector<std::string> names;
  for (const Node& node : plan.nodes) {
    if (node.kind == OpKind::kIsland) {
      names.push_back(std::get<IslandAttrs>(node.attrs).island->op());
    }
  }
  return names;
}

class TorchScriptEngine : public Engine {
 public:
  struct Rung {
    int64_t batch;
    Forward forward;
  };

  TorchScriptEngine(const Plan& plan, EngineInfo info, int threads)
      : info_(std::move(info)),
        inputs_(Specs(plan, plan.inputs)),
        outputs_(Specs(plan, plan.outputs)),
        threads_(threads) {
    info_.engine = "torchscript";
  }

  const EngineInfo& info() const override { return info_; }
  const std::vector<TensorSpec>& inputs() const override { return inputs_; }
  const std::vector<TensorSpec>& outputs() const override { return outputs_; }
  int64_t max_batch() const override { return rungs_.back().batch; }
  absl::StatusOr<std::unique_ptr<ExecutionContext>> NewContext() const override;

  // The ladder grows from small to large. Runs the rung three times, so that
  // the profiling executor has optimised it and primitives are made.
  void AddRung(int64_t batch, Forward forward) {
    rungs_.push_back({batch, std::move(forward)});
    Inputs inputs;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      inputs.push_back(torch::zeros(InputShape(i, batch)));
    }
    for (int i = 0; i < 3; ++i) rungs_.back().forward(inputs);
  }

  const Rung& RungFor(int64_t batch) const {
    return *std::find_if(rungs_.begin(), rungs_.end(),
                         [batch](const Rung& r) { return r.batch >= batch; });
  }

  Shape InputShape(size_t i, int64_t batch) const {
    Shape shape = inputs_[i].shape;
    shape.insert(shape.begin(), batch);
    return shape;
  }

  int threads() const { return threads_; }

 private:
  EngineInfo info_;
  const std::vector<TensorSpec> inputs_, outputs_;
  const int threads_;
  std::vector<Rung> rungs_;
};

class TorchScriptContext : public ExecutionContext {
 public:
  explicit TorchScriptContext(const TorchScriptEngine* engine)
      : engine_(*engine) {}

  absl::Status Run(int64_t batch, absl::Span<const float* const> inputs,
                   absl::Span<float* const> outputs) override {
    if (batch < 1 || batch > engine_.max_batch()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "batch of ", batch, ", engine takes 1 to ", engine_.max_batch()));
    }
    return BehindWall(absl::StatusCode::kInternal, "inference failed",
                      [&] { return RunBehindWall(batch, inputs, outputs); });
  }

 private:
  absl::Status RunBehindWall(int64_t batch,
                             absl::Span<const float* const> inputs,
                             absl::Span<float* const> outputs) {
    const TorchScriptEngine::Rung& rung = engine_.RungFor(batch);
    Inputs tensors;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (rung.batch == batch) {
        tensors.push_back(torch::from_blob(const_cast<float*>(inputs[i]),
                                           engine_.InputShape(i, batch),
                                           torch::kFloat32));
        continue;
      }
      tensors.push_back(torch::zeros(engine_.InputShape(i, rung.batch)));
      std::memcpy(tensors.back().data_ptr<float>(), inputs[i],
                  batch * engine_.inputs()[i].elements() * sizeof(float));
    }
    const c10::IValue result = rung.forward(tensors);
    for (size_t i = 0; i < outputs.size(); ++i) {
      QS_RETURN_IF_ERROR(CopyOutput(result, i, rung.batch, batch, outputs[i]));
    }
    return absl::OkStatus();
  }

  absl::Status CopyOutput(const c10::IValue& result, size_t i,
                          int64_t rung_batch, int64_t batch, float* out) {
    at::Tensor tensor;
    if (result.isTensor() && i == 0) {
      tensor = result.toTensor();
    } else if (result.isTuple() && i < result.toTupleRef().elements().size()) {
      tensor = result.toTupleRef().elements()[i].toTensor();
    } else if (result.isTensorList() && i < result.toTensorVector().size()) {
      tensor = result.toTensorVector()[i];
    } else {
      return absl::InternalError(absl::StrCat("model has no output ", i));
    }
    const TensorSpec& spec = engine_.outputs()[i];
    const at::Tensor dense =
        tensor.to(torch::kCPU, torch::kFloat32).contiguous();
    if (dense.numel() != rung_batch * spec.elements()) {
      return absl::InternalError(absl::StrCat("output \"", spec.name, "\" has ",
                                              dense.numel(), " elements, want ",
                                              rung_batch * spec.elements()));
    }
    std::memcpy(out, dense.data_ptr<float>(),
                batch * spec.elements() * sizeof(float));
    return absl::OkStatus();
  }

  const TorchScriptEngine& engine_;
};

absl::StatusOr<std::unique_ptr<ExecutionContext>>
TorchScriptEngine::NewContext() const {
  return std::make_unique<TorchScriptContext>(this);
}

// The largest difference of two modules' first outputs on noise, relative to
// the largest output.
double Difference(Module a, Module b, const Inputs& inputs) {
  const auto first = [](const c10::IValue& result) {
    return result.isTensor() ? result.toTensor()
                             : result.toTupleRef().elements()[0].toTensor();
  };
  const at::Tensor ya = first(a.forward({inputs.begin(), inputs.end()}));
  const at::Tensor yb = first(b.forward({inputs.begin(), inputs.end()}));
  const double scale = std::max(1e-6, ya.abs().max().item<double>());
  return (ya - yb).abs().max().item<double>() / scale;
}

Module Optimised(const Module& frozen, const Inputs& probe,
                 std::vector<std::string>* notes) {
  constexpr double kTolerance = 1e-4;
  try {
    Module copy = frozen.clone();
    Module optimised = torch::jit::optimize_for_inference(copy);
    copy = Module();
    ReturnFreedMemory();
    const double difference = Difference(frozen, optimised, probe);
    if (difference <= kTolerance) return optimised;
    notes->push_back(
        absl::StrCat("optimize_for_inference changes the output by ",
                     difference, ": the frozen model runs instead"));
  } catch (const std::exception& error) {
    notes->push_back(
        absl::StrCat("optimize_for_inference failed: ", FirstLine(error),
                     ": the frozen model runs instead"));
  }
  return frozen;
}

// A batch of two of noise, in the types that the model takes.
Inputs Probe(const Plan& plan) {
  Inputs inputs;
  for (ValueId id : plan.inputs) {
    Shape shape = plan.value(id).shape;
    shape[0] = 2;
    inputs.push_back(plan.value(id).integers ? torch::zeros(shape, torch::kI64)
                                             : torch::randn(shape));
  }
  return inputs;
}

// The model as a file takes integers where a plan holds floats.
Forward WithIntegers(const Plan& plan, Forward forward) {
  std::vector<bool> integers;
  for (ValueId id : plan.inputs) integers.push_back(plan.value(id).integers);
  if (std::count(integers.begin(), integers.end(), true) == 0) return forward;
  return [integers, forward = std::move(forward)](Inputs inputs) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (integers[i]) inputs[i] = inputs[i].to(torch::kI64);
    }
    return forward(inputs);
  };
}

}  // namespace

absl::Status PrepareLibTorch() {
  static const auto* status = new absl::Status([]() -> absl::Status {
    torch::jit::setTensorExprFuserEnabled(false);
    const auto& engines = at::globalContext().supportedQEngines();
    for (const char* wanted : {"onednn", "x86", "fbgemm", "qnnpack"}) {
      for (const at::QEngine engine : engines) {
        std::string name = toString(engine);
        std::transform(name.begin(), name.end(), name.begin(),
                       [](unsigned char c) { return std::tolower(c); });
        if (name != wanted) continue;
        at::globalContext().setQEngine(engine);
        return absl::OkStatus();
      }
    }
    return absl::FailedPreconditionError(
        "this LibTorch has no engine for quantized operators");
  }());
  return *status;
}

absl::StatusOr<std::unique_ptr<Engine>> CompileTorchScript(
    const Plan& plan, const EngineOptions& options) {
  QS_RETURN_IF_ERROR(PrepareLibTorch());
  return BehindWall(
      absl::StatusCode::kInternal, "plan cannot be compiled with LibTorch",
      [&]() -> absl::StatusOr<std::unique_ptr<Engine>> {
        EngineInfo info;
        info.precision = plan.quantized() ? "int8" : "fp32";
        info.islands = Islands(plan);
        info.weight_bytes =
            plan.WeightBytes() * static_cast<int64_t>(options.ladder.size());
        auto engine =
            std::make_unique<TorchScriptEngine>(plan, info, options.threads);
        const Plan runnable = ForTorchScript(plan);
        for (int64_t batch : options.ladder) {
          QS_ASSIGN_OR_RETURN(Module module, EmitModule(runnable, {}));
          module.eval();
          module = torch::jit::freeze(module);
          ReturnFreedMemory();
          engine->AddRung(batch, JitForward(std::move(module)));
        }
        return engine;
      });
}

absl::StatusOr<std::unique_ptr<Engine>> CompileScript(
    Module&& module, ScriptExecution execution, const Plan& plan,
    const std::string& precision, const EngineOptions& options) {
  if (execution == ScriptExecution::kCuda && !TorchHasCuda()) {
    return absl::FailedPreconditionError("this LibTorch has no CUDA");
  }
  return BehindWall(
      absl::StatusCode::kInternal, "module cannot be compiled with LibTorch",
      [&]() -> absl::StatusOr<std::unique_ptr<Engine>> {
        EngineInfo info;
        info.precision = precision;
        info.weight_bytes = plan.WeightBytes();
        Forward forward;
        switch (execution) {
          case ScriptExecution::kOperators: {
            auto walk = std::make_shared<const OperatorWalk>(module);
            forward = [walk](const Inputs& x) { return walk->Run(x); };
            break;
          }
          case ScriptExecution::kJit:
            forward = JitForward(Frozen(module));
            break;
          case ScriptExecution::kOptimized:
            // What is given up here is gone before the next copy is made.
            module = Frozen(module);
            ReturnFreedMemory();
            forward = JitForward(Optimised(module, Probe(plan), &info.notes));
            break;
          case ScriptExecution::kCuda: {
            Module on_gpu = module.clone();
            on_gpu.to(torch::kCUDA);
            auto jit = JitForward(std::move(on_gpu));
            forward = [jit](Inputs inputs) {
              for (at::Tensor& x : inputs) x = x.to(torch::kCUDA);
              return jit(inputs);
            };
            break;
          }
        }
        auto engine =
            std::make_unique<TorchScriptEngine>(plan, info, options.threads);
        forward = WithIntegers(plan, std::move(forward));
        for (int64_t batch : options.ladder) engine->AddRung(batch, forward);
        return engine;
      });
}

}  // namespace quantserve
