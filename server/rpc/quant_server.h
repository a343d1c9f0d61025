// The whole server, put together: what main() runs and tests start in-process.
//
//   ASSIGN(auto server, QuantServer::Listen(options, std::move(parts)));
//   RETURN_IF_ERROR(server->StartUp());
//   …
//   server->Shutdown();
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "quant/base/mutex.h"
#include "server/core/job_runner.h"
#include "server/core/lifecycle.h"
#include "server/core/metrics.h"
#include "server/core/metrics_listener.h"
#include "server/core/model_repository.h"
#include "server/core/scheduler.h"
#include "server/core/server_options.h"
#include "server/core/shadow_runner.h"
#include "server/rpc/call.h"
#include "server/rpc/listener.h"

namespace quantserve {

// What a model is made of, beside its options.
struct ModelParts {
  std::unique_ptr<ModelPipeline> pipeline;
  std::unique_ptr<ShardStore> shards;
  std::vector<std::string> class_names;
};

// What a server is made of, beside its options.
struct ServerParts {
  std::vector<ModelParts> models;  // in the order of the options
  // Runs first on each thread that runs an engine; may be empty.
  std::function<void()> configure_thread;
  std::function<absl::Status()> int8_self_test;
  BuildFacts build;
};

// Reads what `options` name: labels, models, shards. An error's message is one
// line for the operator. Fills in each model's inputs and
// options->serving.workers.
absl::StatusOr<ServerParts> LoadParts(ServerOptions* options);

// Thread-safe.
class QuantServer {
 public:
  // `options` are valid, and options.serving.workers is not 0.
  // Live: listens, writes the port file; health says NOT_SERVING.
  static absl::StatusOr<std::unique_ptr<QuantServer>> Listen(
      const ServerOptions& options, ServerParts parts);
  ~QuantServer();

  // Publishes the variants; then ready, health says SERVING, unless a model
  // requires an INT8 variant that it does not have: ready once it has.
  // CANCELLED or UNAVAILABLE if BeginShutdown came first.
  absl::Status StartUp();

  // Not ready any more, jobs cancelled; new calls are refused, unless there is
  // to be a lame-duck time. Never blocks.
  void BeginShutdown();
  // Begins, if nobody has, waits for the lame-duck time, finishes what is in
  // flight within the configured time, stops. Returns whether everything was
  // finished.
  bool Shutdown();

  int port() const { return listener_->port(); }
  // 0: there is none.
  int admin_port() const { return env_.admin_port; }
  int metrics_port() const { return metrics_listener_->port(); }
  const ModelRepository& models() const { return *models_; }
  const Scheduler& pool() const { return pool_; }

 private:
  QuantServer(const ServerOptions& options, ServerParts parts);
  absl::Status ListenForCalls();
  absl::Status WritePortFile() const;
  // Tells health and readiness of what `host` serves now.
  void OnChange(const ModelHost& host);
  void ShowHealth(const std::string& name, bool serving);
  // Becomes ready if everything is there.
  void BecomeReadyIfServing();

  const ServerOptions options_;
  Lifecycle lifecycle_;
  Metrics metrics_;
  JobRunner jobs_;        // stopped before the models go
  ShadowRunner shadows_;  // likewise
  std::unique_ptr<ModelRepository> models_;
  Scheduler pool_;  // its requests hold variants
  CallWatch watch_;
  std::unique_ptr<Gatekeeper> gatekeeper_, admin_gatekeeper_;
  RpcEnvironment env_, admin_env_;
  // They use what is above.
  std::unique_ptr<MetricsListener> metrics_listener_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Listener> admin_listener_;  // may be null

  Mutex ready_mu_;
  bool started_ ABSL_GUARDED_BY(ready_mu_) = false;
};

}  // namespace quantserve
