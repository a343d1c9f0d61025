// What every RPC has around it: admission, status mapping, metrics, the log.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "server/core/lifecycle.h"
#include "server/core/metrics.h"
#include "server/core/model_repository.h"
#include "server/core/scheduler.h"
#include "server/core/server_options.h"
#include "server/rpc/call_watch.h"
#include "server/rpc/security.h"

namespace quantserve {

// What the services of one port work with; all of it outlives the gRPC server.
struct RpcEnvironment {
  const ModelRepository* models = nullptr;
  Scheduler* pool = nullptr;
  Metrics* metrics = nullptr;
  CallWatch* watch = nullptr;
  Lifecycle* lifecycle = nullptr;
  const Gatekeeper* gatekeeper = nullptr;
  int admin_port = 0;  // 0: there is none
  ServingConfig serving;
  NetworkConfig network;
  BuildFacts build;
  absl::Time started;
};

// What a job came to, for its caller: a job that was cancelled because the
// server drains is UNAVAILABLE.
absl::Status JobStatus(const RpcEnvironment& env, const absl::Status& status);

// One call, from its arrival until gRPC is done with it. Thread-compatible.
class CallScope {
 public:
  CallScope(Rpc rpc, const RpcEnvironment& env,
            grpc::CallbackServerContext* context);
  ~CallScope();
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

  // UNAVAILABLE if the server drains, or what the port's gatekeeper says:
  // finish the call with it.
  const absl::Status& admission() const { return admission_; }
  // As ModelRepository::Find; the call counts as that model's from then on.
  absl::StatusOr<ModelHost*> FindModel(absl::string_view name);
  void set_variant(VariantId id) { variant_ = static_cast<int>(id); }
  // What the caller calls it, for the log; kept until Finish.
  void set_id(const std::string* id) { id_ = id; }

  // To be called once, with what the call came to: records and logs it and
  // returns what to finish the reactor with.
  grpc::Status Finish(const absl::Status& status);
  // The same for one message of a stream: nothing is added to the call.
  grpc::Status FinishMessage(const absl::Status& status);

 private:
  void Log(const absl::Status& status) const;

  const Rpc rpc_;
  const RpcEnvironment& env_;
  grpc::CallbackServerContext* const context_;
  const absl::Time arrived_;
  const absl::Status admission_;
  ModelHost* model_ = nullptr;
  int variant_ = kNoVariant;
  const std::string* id_ = nullptr;  // may stay null
};

// A unary call that deletes itself.
class UnaryCall : public grpc::ServerUnaryReactor {
 protected:
  UnaryCall(Rpc rpc, const RpcEnvironment& env,
            grpc::CallbackServerContext* context)
      : watched_(env.watch, rpc, context), scope_(rpc, env, context) {}

  CallScope& scope() { return scope_; }
  // Exactly once; nothing of the call may be touched afterwards.
  void Complete(const absl::Status& status) {
    const grpc::Status end = scope_.Finish(status);
    watched_.Sending();
    Finish(end);
  }

 private:
  void OnDone() override { delete this; }
  WatchedCall watched_;
  CallScope scope_;
};

}  // namespace quantserve
