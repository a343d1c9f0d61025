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
    if (id == VariantId::kBf16 && !host.config().model.bf16) continue;
    const auto variant = host.registry().Get(id);
    if (variant == nullptr) {
      spdlog::warn("{}/{} is not being served: {}", host.name(),
                   VariantName(id), host.registry().UnavailableReason(id));
      continue;
    }
    const std::string name = absl::StrCat(host.name(), "/", variant->name());
    const Evaluation& evaluation = variant->scores.evaluation;
    spdlog::info("{}: engine {}, {} bytes, {}", name,
                 variant->engine().info().engine, variant->compiled.size_bytes,
                 evaluation.accuracy.has_value()
                     ? fmt::format("accuracy {:.4f} on {} samples",
                                   *evaluation.accuracy, evaluation.samples)
                     : "accuracy unknown");
    for (const EngineTiming& timing : variant->compiled.timings) {
      spdlog::info("{} on {}: {}, {}", name, timing.engine,
                   absl::FormatDuration(timing.latency),
                   timing.rejected.empty() ? "chosen" : timing.rejected);
    }
    for (const std::string& note : variant->engine().info().notes) {
      spdlog::info("{}: {}", name, note);
    }
  }
}

void LogRun(const std::string& model, const QuantizationRun& run) {
  const std::string title =
      absl::StrCat("quantization of ", model, " on ", run.spec.shard);
  const std::string took =
      absl::FormatDuration(absl::Trunc(run.duration, absl::Milliseconds(1)));
  if (!run.status.ok()) {
    spdlog::warn("{} failed after {}, nothing changed: {}", title, took,
                 run.status.ToString());
    return;
  }
  if (run.report.has_value()) {
    for (const std::string& note : run.report->notes) {
      spdlog::info("{}: {}", title, note);
    }
    // The reason why it was calibrated, or that it was not.
    spdlog::info("recipe {} {}", run.report->digest.substr(0, 12),
                 run.report->artifact == kArtifactLoaded
                     ? "loaded, nothing calibrated"
                     : "calibrated: " + run.report->artifact);
  }
  spdlog::info("{}, {} in {}: {}", title,
               run.published ? fmt::format("generation {}", run.generation)
               : run.held
                   ? fmt::format("candidate generation {}", run.generation)
                   : "dry run",
               took, run.gate->reason);
}

}  // namespace

QuantServer::QuantServer(const ServerOptions& options, ServerParts parts)
    : options_(options),
      metrics_(parts.build, Cpu()),
      jobs_({parts.configure_thread, /*nice=*/10, ProgressLog()}),
      shadows_(
          {ShadowRunner::Options().max_jobs, ShadowRunner::Options().max_bytes,
           [this] { return pool_.queue_depth() > 0; }, parts.configure_thread}),
      pool_({options.serving.workers, options.serving.queue_capacity,
             options.serving.max_queue_delay, parts.configure_thread}),
      watch_(&metrics_.calls(), options.network.connections.reply_timeout) {
  metrics_.SetServing(options.serving.workers, options.serving.queue_capacity);
  std::vector<std::unique_ptr<ModelHost>> hosts;
  for (size_t i = 0; i < parts.models.size(); ++i) {
    ModelParts& model = parts.models[i];
    ModelHost::Deps deps;
    deps.pipeline = std::move(model.pipeline);
    deps.shards = std::move(model.shards);
    deps.class_names = std::move(model.class_names);
    deps.metrics = &metrics_;
    deps.jobs = &jobs_;
    deps.shadows = &shadows_;
    deps.workers = options.serving.workers;
    deps.int8_self_test = parts.int8_self_test;
    deps.on_run = [name = options.models[i].model.name](
                      const QuantizationRun& run) { LogRun(name, run); };
    deps.on_change = [this, i](VariantId) { OnChange(*models_->all()[i]); };
    hosts.push_back(
        std::make_unique<ModelHost>(options.models[i], std::move(deps)));
  }
  models_ = std::make_unique<ModelRepository>(std::move(hosts));
  env_.models = models_.get();
  env_.pool = &pool_;
  env_.metrics = &metrics_;
  env_.watch = &watch_;
  env_.lifecycle = &lifecycle_;
  env_.serving = options_.serving;
  env_.network = options_.network;
  env_.build = std::move(parts.build);
  env_.started = absl::Now();
}

absl::StatusOr<std::unique_ptr<QuantServer>> QuantServer::Listen(
    const ServerOptions& options, ServerParts parts) {
  auto server = absl::WrapUnique(new QuantServer(options, std::move(parts)));
  const NetworkConfig& network = server->options_.network;
  Scheduler* pool = &server->pool_;
  QS_ASSIGN_OR_RETURN(
      server->metrics_listener_,
      MetricsListener::Start(network.address, network.metrics_port,
                             {server->metrics_.registry(),
                              std::make_shared<ProcessMetrics>(
                                  [pool] { return pool->queue_depth(); },
                                  [pool] { return pool->busy_workers(); })}));
  QS_RETURN_IF_ERROR(server->ListenForCalls());
  for (const auto& model : server->models_->all()) server->OnChange(*model);
  spdlog::info("gRPC on {}, metrics on http://{}/metrics",
               HostPort(network.address, server->port()),
               HostPort(network.address, server->metrics_port()));
  QS_RETURN_IF_ERROR(server->WritePortFile());
  return server;
}

absl::Status QuantServer::ListenForCalls() {
  const NetworkConfig& network = options_.network;
  const SecurityConfig& security = options_.security;
  QS_ASSIGN_OR_RETURN(const Secrets secrets, ReadSecrets(security));
  gatekeeper_ = std::make_unique<Gatekeeper>(
      /*trusted=*/false, secrets.admin_token, security.admin_clients);
  admin_gatekeeper_ = std::make_unique<Gatekeeper>(
      /*trusted=*/true, "", std::vector<std::string>());
  admin_env_ = env_;
  admin_env_.gatekeeper = admin_gatekeeper_.get();
  if (security.admin_port >= 0) {
    Listener::Options admin;
    admin.address = "127.0.0.1";
    admin.port = security.admin_port;
    admin.max_message_bytes = network.max_message_bytes;
    admin.credentials = grpc::InsecureServerCredentials();
    admin.connections = network.connections;
    // Its calls take as long as they take.
    admin.connections.max_age = absl::ZeroDuration();
    QS_ASSIGN_OR_RETURN(admin_listener_, Listener::Start(admin, admin_env_));
    env_.admin_port = admin_listener_->port();
    spdlog::info("administrative gRPC on 127.0.0.1:{}", env_.admin_port);
  }
  env_.gatekeeper = gatekeeper_.get();
  QS_ASSIGN_OR_RETURN(
      listener_,
      Listener::Start({network.address, network.port, network.max_message_bytes,
                       MakeCredentials(secrets), network.connections},
                      env_));
  return absl::OkStatus();
}

QuantServer::~QuantServer() {
  if (listener_ != nullptr) Shutdown();
  // Their threads use the models.
  jobs_.Stop();
  shadows_.Stop();
}

absl::Status QuantServer::WritePortFile() const {
  const std::string& path = options_.network.port_file;
  if (path.empty()) return absl::OkStatus();
  const absl::Status written = WriteFileAtomically(
      path, absl::StrCat("{\"grpc\":", port(), ",\"metrics\":", metrics_port(),
                         ",\"admin\":", admin_port(), "}\n"));
  if (written.ok()) return written;
  return absl::InvalidArgumentError(
      absl::StrCat("cannot write the port file: ", written.message()));
}

absl::Status QuantServer::StartUp() {
  for (const auto& model : models_->all()) {
    QS_RETURN_IF_ERROR(model->StartUp());
    LogVariants(*model);
  }
  {
    MutexLock lock(&ready_mu_);
    started_ = true;
  }
  BecomeReadyIfServing();
  if (lifecycle_.stopping()) {
    return absl::CancelledError("the server was told to stop");
  }
  if (lifecycle_.ready()) return absl::OkStatus();
  for (const auto& model : models_->all()) {
    const absl::Status serving = model->CheckServing();
    if (!serving.ok()) {
      spdlog::warn("not ready: {} requires int8: {}", model->name(),
                   std::string(serving.message()));
    }
  }
  return absl::OkStatus();
}

void QuantServer::ShowHealth(const std::string& name, bool serving) {
  for (Listener* listener : {listener_.get(), admin_listener_.get()}) {
    if (listener != nullptr) listener->SetServing(name, serving);
  }
}

void QuantServer::OnChange(const ModelHost& host) {
  for (VariantId id : kAllVariants) {
    ShowHealth(absl::StrCat(host.name(), "/", VariantName(id)),
               host.registry().Get(id) != nullptr);
  }
  ShowHealth(host.name(), host.CheckServing().ok());
  BecomeReadyIfServing();
}

void QuantServer::BecomeReadyIfServing() {
  MutexLock lock(&ready_mu_);
  if (!started_ || lifecycle_.ready()) return;
  for (const auto& model : models_->all()) {
    if (!model->CheckServing().ok()) return;
  }
  if (!lifecycle_.BecomeReady()) return;
  metrics_.SetReady(true);
  for (Listener* listener : {listener_.get(), admin_listener_.get()}) {
    if (listener != nullptr) listener->SetServing(true);
  }
  spdlog::info("ready");
  // If the end came between these lines, its word is the last.
  if (lifecycle_.stopping()) metrics_.SetReady(false);
}

void QuantServer::BeginShutdown() {
  const bool wait = options_.network.lame_duck > absl::ZeroDuration();
  if (!wait || !lifecycle_.BecomeLameDuck()) lifecycle_.BecomeDraining();
  metrics_.SetReady(false);
  for (Listener* listener : {listener_.get(), admin_listener_.get()}) {
    if (listener != nullptr) listener->EndServing();
  }
  jobs_.Close();
  shadows_.Close();
}

bool QuantServer::Shutdown() {
  BeginShutdown();
  if (lifecycle_.phase() == Phase::kLameDuck) {
    spdlog::info("not ready any more; calls are taken for another {}",
                 absl::FormatDuration(options_.network.lame_duck));
    absl::SleepFor(options_.network.lame_duck);
    lifecycle_.BecomeDraining();
  }
  const absl::Time deadline = absl::Now() + options_.network.drain;
  // Until each client that calls has heard of it: a call that reaches gRPC
  // between its going away and the client's notice would end as CANCELLED.
  lifecycle_.AwaitQuiet(kQuiet, std::min(kMaxLinger, options_.network.drain));
  for (Listener* listener : {listener_.get(), admin_listener_.get()}) {
    if (listener != nullptr) listener->GoAway();
  }
  bool finished = lifecycle_.AwaitIdle(deadline - absl::Now());
  finished &= pool_.Drain(deadline - absl::Now());
  // Our calls are over, or late; health watchers never end by themselves.
  for (Listener* listener : {listener_.get(), admin_listener_.get()}) {
    if (listener != nullptr) listener->Shutdown(absl::Milliseconds(100));
  }
  jobs_.Stop();
  shadows_.Stop();
  return finished;
}

}  // namespace quantserve
