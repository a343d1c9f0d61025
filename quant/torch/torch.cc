#include "quant/torch/torch.h"

#include <ATen/Parallel.h>
#include <torch/script.h>
#include <torch/version.h>

#include <sstream>

#include "absl/strings/str_cat.h"
#include "quant/base/atomic_file.h"
#include "quant/base/status_macros.h"
#include "quant/torch/emit.h"
#include "quant/torch/import.h"
#include "quant/torch/load.h"
#include "quant/torch/torchscript_engine.h"
#include "quant/torch/wall.h"

namespace quantserve {

// Files that our own archives hold beside the code.
constexpr const char* kExtraFiles[] = {"quantserve.json"};

struct TorchModel::Impl {
  torch::jit::Module module;
  std::map<std::string, std::string> extra_files;
};

TorchModel::TorchModel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TorchModel::~TorchModel() = default;

absl::StatusOr<std::unique_ptr<TorchModel>> TorchModel::Load(
    const std::string& path, int64_t max_bytes) {
  QS_RETURN_IF_ERROR(PrepareLibTorch());
  auto impl = std::make_unique<Impl>();
  for (const char* name : kExtraFiles) impl->extra_files[name] = "";
  QS_ASSIGN_OR_RETURN(impl->module,
                      LoadModule(path, max_bytes, &impl->extra_files));
  return std::unique_ptr<TorchModel>(new TorchModel(std::move(impl)));
}

absl::StatusOr<Plan> TorchModel::Import(
    const std::vector<InputSpec>& inputs) const {
  QS_ASSIGN_OR_RETURN(FrozenModel frozen, FreezeModel(impl_->module));
  return ImportPlan(&frozen, inputs);
}

absl::StatusOr<std::unique_ptr<Engine>> TorchModel::Compile(
    ScriptExecution execution, const Plan& plan, const std::string& precision,
    const EngineOptions& options) const {
  torch::jit::Module module = impl_->module;
  return CompileScript(std::move(module), execution, plan, precision, options);
}

absl::StatusOr<std::unique_ptr<Engine>> TorchModel::CompileLast(
    std::unique_ptr<TorchModel> model, ScriptExecution execution,
    const Plan& plan, const std::string& precision,
    const EngineOptions& options) {
  return CompileScript(std::move(model->impl_->module), execution, plan,
                       precision, options);
}

std::string TorchModel::ExtraFile(const std::string& name) const {
  const auto it = impl_->extra_files.find(name);
  return it == impl_->extra_files.end() ? "" : it->second;
}

absl::Status SaveTorchScript(
    const Plan& plan, const std::string& path,
    const std::map<std::string, std::string>& extra_files) {
  QS_RETURN_IF_ERROR(PrepareLibTorch());
  QS_ASSIGN_OR_RETURN(torch::jit::Module module,
                      EmitModule(ForTorchScript(plan), {}));
  // By way of memory: LibTorch's own writing of files ends the process where
  // the disk is full.
  std::ostringstream bytes;
  QS_RETURN_IF_ERROR(BehindWall(
      absl::StatusCode::kUnavailable, absl::StrCat("cannot write ", path),
      [&]() -> absl::Status {
        torch::jit::ExtraFilesMap extra(extra_files.begin(), extra_files.end());
        module.eval();
        module.save(bytes, extra);
        return absl::OkStatus();
      }));
  return WriteFileAtomically(path, bytes.str());
}

std::vector<TensorSpec> Specs(const Plan& plan,
                              const std::vector<ValueId>& ids) {
  std::vector<TensorSpec> specs;
  for (ValueId id : ids) {
    const Value& v = plan.value(id);
    specs.push_back(
        {v.name, Shape(v.shape.begin() + 1, v.shape.end()), v.integers});
  }
  return specs;
}

void SetTorchThreads(int threads) { at::set_num_threads(threads); }

std::string TorchVersion() { return TORCH_VERSION; }

bool TorchHasCuda() {
  try {
    return at::hasCUDA() && at::getNumGPUs() > 0;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace quantserve
