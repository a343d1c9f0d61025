#include "server/rpc/listener.h"

#include <grpc/grpc.h>

#include <chrono>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/server_builder.h"
#include "server/core/metrics_listener.h"
#include "server/core/steady_clock.h"
#include "server/rpc/log.h"

namespace quantserve {
namespace {

// How long a peer may take to become one: TCP, TLS and HTTP/2's first frame.
constexpr absl::Duration kHandshake = absl::Seconds(10);
// Calls of one connection that may be open, beside what fills the queue: a
// proxy's connection carries those of many clients.
constexpr int kSpareStreams = 1024;
// Clients that ask whether we are there more often than this are cut off.
constexpr absl::Duration kShortestPing = absl::Seconds(5);

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

// Nothing that a peer may keep us waiting for lasts for ever.
void BoundConnections(const ConnectionConfig& limits, int queue_capacity,
                      grpc::ServerBuilder* builder) {
  const auto set = [builder](const char* argument, absl::Duration value) {
    builder->AddChannelArgument(argument, Milliseconds(value));
  };
  set(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshake);
  set(GRPC_ARG_KEEPALIVE_TIME_MS, limits.keepalive);
  // gRPC also makes it TCP's limit for data that a peer does not take.
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, limits.keepalive);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // Any number of those, as long as nothing else is sent.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  set(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kShortestPing);
  if (limits.max_idle > absl::ZeroDuration()) {
    set(GRPC_ARG_MAX_CONNECTION_IDLE_MS, limits.max_idle);
  }
  if (limits.max_age > absl::ZeroDuration()) {
    set(GRPC_ARG_MAX_CONNECTION_AGE_MS, limits.max_age);
    set(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, limits.max_age);
  }
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                              queue_capacity + kSpareStreams);
  grpc::ResourceQuota quota;
  quota.Resize(static_cast<size_t>(limits.receive_buffer_bytes));
  builder->SetResourceQuota(quota);
}

}  // namespace

Listener::Listener(const RpcEnvironment& env)
    : inference_(env, env.serving.stream_window),
      quantization_(env),
      oip_(env) {}

Listener::~Listener() { Shutdown(absl::ZeroDuration()); }

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(
    const Options& options, const RpcEnvironment& env) {
  auto listener = absl::WrapUnique(new Listener(env));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  // Two servers on one port would share its connections, and nobody would know.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(options.max_message_bytes);
  BoundConnections(options.connections, env.serving.queue_capacity, &builder);
  builder.AddListeningPort(HostPort(options.address, options.port),
                           options.credentials, &listener->port_);
  builder.RegisterService(&listener->inference_);
  builder.RegisterService(&listener->quantization_);
  builder.RegisterService(&listener->oip_);
  {
    // It logs several lines for what we report in one.
    const QuietGrpc quiet;
    listener->server_ = builder.BuildAndStart();
  }
  if (listener->server_ == nullptr || listener->port_ == 0) {
    return absl::UnavailableError(absl::StrCat(
        "cannot listen on ", HostPort(options.address, options.port),
        " for gRPC: the port is in use, or the address is not this "
        "machine's"));
  }
  listener->SetServing(false);
  listener->server_->GetHealthCheckService()->SetServingStatus(
      std::string(kLiveName), true);
  return listener;
}

void Listener::SetServing(bool serving) {
  for (const char* name :
       {v1::InferenceService::service_full_name(),
        v1::QuantizationService::service_full_name(),
        inference::GRPCInferenceService::service_full_name(), ""}) {
    SetServing(name, serving);
  }
}

void Listener::SetServing(const std::string& name, bool serving) {
  MutexLock lock(&health_mu_);
  const bool shown = serving && !health_ended_;
  const auto [at, fresh] = shown_.try_emplace(name, shown);
  // gRPC tells watchers again what they know.
  if (!fresh && at->second == shown) return;
  at->second = shown;
  server_->GetHealthCheckService()->SetServingStatus(name, shown);
}

// gRPC's own Shutdown would take kLiveName along.
void Listener::EndServing() {
  MutexLock lock(&health_mu_);
  health_ended_ = true;
  for (auto& [name, shown] : shown_) {
    if (!shown) continue;
    shown = false;
    server_->GetHealthCheckService()->SetServingStatus(name, false);
  }
}

void Listener::GoAway() {
  if (server_ == nullptr || ended_ || leaving_.joinable()) return;
  leaving_ = std::thread([this] {
    // gRPC says it at once and then waits. How long is Shutdown's to say.
    server_->Shutdown(std::chrono::system_clock::now() +
                      std::chrono::hours(24 * 365));
    MutexLock lock(&mu_);
    left_ = true;
    changed_.NotifyAll();
  });
}

void Listener::Shutdown(absl::Duration grace) {
  if (server_ == nullptr || ended_) return;
  GoAway();
  ended_ = true;
  const absl::Time deadline = SteadyNow() + grace;
  {
    MutexLock lock(&mu_);
    while (!left_ && SteadyNow() < deadline) {
      changed_.WaitFor(&mu_, deadline - SteadyNow());
    }
  }
  grpc_server_cancel_all_calls(server_->c_server());
  leaving_.join();
  server_->Wait();
}

}  // namespace quantserve
