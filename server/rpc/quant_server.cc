#include "server/rpc/quant_server.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "quant/base/atomic_file.h"
#include "quant/base/cpu.h"
#include "quant/base/status_macros.h"
#include "server/core/process_metrics.h"
#include "server/rpc/progress_log.h"
#include "spdlog/spdlog.h"

namespace quantserve {
namespace {

// How long no call may have come before the port is closed, and how long that
// is waited for: a client may well retry for ever.
constexpr absl::Duration kQuiet = absl::Milliseconds(300);
constexpr absl::Duration kMaxLinger = absl::Seconds(2);

void LogVariants(const ModelHost& host) {
  for (VariantId id : kAllVariants) {
    if (id == VariantId::kBf16 && !host.options().model.bf16) continue;
    const auto variant = host.registry().Get(id);
    if (variant == nullptr) {
      spdlog::warn("{} is not being served: {}", VariantName(id),
                   host.registry().UnavailableReason(id));
      continue;
    }
    const Evaluation& evaluation = variant->scores.evaluation;
    spdlog::info("{}: engine {}, {} bytes, {}", variant->name(),
                 variant->engine().info().engine, variant->compiled.size_bytes,
                 evaluation.accuracy.has_value()
                     ? fmt::format("accuracy {:.4f} on {} samples",
                                   *evaluation.accuracy, evaluation.samples)
                     : "accuracy unknown");
    for (const EngineTiming& timing : variant->compiled.timings) {
      spdlog::info("{} on {}: {}, {}", variant->name(), timing.engine,
                   absl::FormatDuration(timing.latency),
                   timing.rejected.empty() ? "chosen" : timing.rejected);
    }
    for (const std::string& note : variant->engine().info().notes) {
      spdlog::info("{}: {}", variant->name(), note);
    }
  }
}

void LogRun(const QuantizationRun& run) {
  const std::string took =
      absl::FormatDuration(absl::Trunc(run.duration, absl::Milliseconds(1)));
  if (!run.status.ok()) {
    spdlog::warn("quantization on {} failed after {}, nothing changed: {}",
                 run.spec.shard, took, run.status.ToString());
    return;
  }
  if (run.report.has_value()) {
    for (const std::string& note : run.report->notes) {
      spdlog::info("quantization on {}: {}", run.spec.shard, note);
    }
    // The reason why it was calibrated, or that it was not.
    spdlog::info("recipe {} {}", run.report->digest.substr(0, 12),
                 run.report->artifact == kArtifactLoaded
                     ? "loaded, nothing calibrated"
                     : "calibrated: " + run.report->artifact);
  }
  spdlog::info(
      "quantization on {}, {} in {}: {}", run.spec.shard,
      run.published ? fmt::format("generation {}", run.generation) : "dry run",
      took, run.gate->reason);
}

}  // namespace

QuantServer::QuantServer(const ServerOptions& options, ServerParts parts)
    : options_(options), metrics_(parts.build, Cpu()) {
  host_ = std::make_unique<ModelHost>(
      options,
      ModelHost::Deps{std::move(parts.pipeline), std::move(parts.shards),
                      std::move(parts.class_names), &metrics_,
                      std::move(parts.configure_thread),
                      std::move(parts.int8_self_test), ProgressLog(), LogRun});
  env_ = {host_.get(), &metrics_, &lifecycle_, std::move(parts.build),
          absl::Now()};
}

absl::StatusOr<std::unique_ptr<QuantServer>> QuantServer::Listen(
    const ServerOptions& options, ServerParts parts) {
  auto server = absl::WrapUnique(new QuantServer(options, std::move(parts)));
  const NetworkConfig& network = server->options_.network;
  WorkerPool* pool = &server->host_->pool();
  QS_ASSIGN_OR_RETURN(
      server->metrics_listener_,
      MetricsListener::Start(network.address, network.metrics_port,
                             {server->metrics_.registry(),
                              std::make_shared<ProcessMetrics>(
                                  [pool] { return pool->queue_depth(); })}));
  QS_ASSIGN_OR_RETURN(server->listener_,
                      Listener::Start(network, server->env_));
  spdlog::info("gRPC on {}, metrics on http://{}/metrics",
               HostPort(network.address, server->port()),
               HostPort(network.address, server->metrics_port()));
  QS_RETURN_IF_ERROR(server->WritePortFile());
  return server;
}

QuantServer::~QuantServer() {
  if (listener_ != nullptr) Shutdown();
}

absl::Status QuantServer::WritePortFile() const {
  const std::string& path = options_.network.port_file;
  if (path.empty()) return absl::OkStatus();
  const absl::Status written = WriteFileAtomically(
      path, absl::StrCat("{\"grpc\":", port(), ",\"metrics\":", metrics_port(),
                         "}\n"));
  if (written.ok()) return written;
  return absl::InvalidArgumentError(
      absl::StrCat("cannot write the port file: ", written.message()));
}

absl::Status QuantServer::StartUp() {
  QS_RETURN_IF_ERROR(host_->StartUp());
  LogVariants(*host_);
  if (!lifecycle_.BecomeReady()) {
    return absl::CancelledError("the server was told to stop");
  }
  metrics_.SetReady(true);
  listener_->SetServing(true);
  // If the end came between these lines, its word is the last.
  if (lifecycle_.phase() == Phase::kDraining) BeginShutdown();
  spdlog::info("ready");
  return absl::OkStatus();
}

void QuantServer::BeginShutdown() {
  lifecycle_.BecomeDraining();
  metrics_.SetReady(false);
  listener_->SetServing(false);
  host_->CloseJobs();
}

bool QuantServer::Shutdown() {
  const absl::Time deadline = absl::Now() + options_.network.drain;
  BeginShutdown();
  bool finished =
      lifecycle_.AwaitIdle(absl::ZeroDuration(), options_.network.drain);
  // Until each client has heard of it: a call that reaches gRPC between its
  // shutdown and the client's notice of it would end as CANCELLED.
  const absl::Duration left = deadline - absl::Now();
  if (finished) lifecycle_.AwaitIdle(kQuiet, std::min(kMaxLinger, left));
  finished &= host_->Drain(deadline - absl::Now());
  // Our calls are over, or late; health watchers never end by themselves.
  listener_->Shutdown(absl::Milliseconds(100));
  host_->StopJobs();
  return finished;
}

}  // namespace quantserve
