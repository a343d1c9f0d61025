#include "server/core/metrics.h"

#include "absl/strings/str_cat.h"
#include "prometheus/gauge.h"

namespace quantserve {
namespace {

using prometheus::BuildGauge;

std::string Flag(bool value) { return value ? "true" : "false"; }

}  // namespace

Metrics::Metrics(const BuildFacts& build, const CpuFeatures& cpu)
    : registry_(std::make_shared<prometheus::Registry>()),
      rpcs_without_model_(registry_.get(), "none"),
      calls_(registry_.get()) {
  MakeInfo(build, cpu);
  const auto gauge = [this](const char* name, const char* help) {
    return &BuildGauge().Name(name).Help(help).Register(*registry_).Add({});
  };
  ready_ = gauge("quantserve_ready", "1 while the server welcomes traffic.");
  workers_ = gauge("quantserve_workers", "Threads that run models.");
  queue_capacity_ = gauge("quantserve_queue_capacity",
                          "Requests that may wait for a worker.");
  job_running_ = gauge("quantserve_job_running",
                       "1 while a quantization or evaluation runs.");
}

void Metrics::MakeInfo(const BuildFacts& build, const CpuFeatures& cpu) {
  BuildGauge()
      .Name("quantserve_build_info")
      .Help("What this server was built from.")
      .Register(*registry_)
      .Add({{"version", build.version},
            {"compiler", build.compiler},
            {"libtorch", build.libtorch_version}})
      .Set(1);
  BuildGauge()
      .Name("quantserve_cpu_info")
      .Help("What the processor can do.")
      .Register(*registry_)
      .Add({{"model", cpu.model},
            {"cores", absl::StrCat(cpu.cores)},
            {"avx2", Flag(cpu.avx2)},
            {"avx512", Flag(cpu.avx512)},
            {"vnni", Flag(cpu.vnni)},
            {"avx512_bf16", Flag(cpu.avx512_bf16)},
            {"amx_int8", Flag(cpu.amx_int8)},
            {"amx_bf16", Flag(cpu.amx_bf16)}})
      .Set(1);
}

ModelMetrics& Metrics::ForModel(const std::string& name) {
  MutexLock lock(&mu_);
  auto& model = models_[name];
  if (model == nullptr) {
    model = std::make_unique<ModelMetrics>(registry_.get(), name);
  }
  return *model;
}

void Metrics::SetReady(bool ready) { ready_->Set(ready ? 1 : 0); }

void Metrics::SetServing(int workers, int queue_capacity) {
  workers_->Set(workers);
  queue_capacity_->Set(queue_capacity);
}

void Metrics::SetJobRunning(bool running) {
  job_running_->Set(running ? 1 : 0);
}

}  // namespace quantserve
