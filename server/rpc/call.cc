#include "server/rpc/call.h"

#include "quant/base/status_macros.h"
#include "server/core/steady_clock.h"
#include "server/rpc/log.h"
#include "server/rpc/status_mapping.h"

namespace quantserve {

absl::Status JobStatus(const RpcEnvironment& env, const absl::Status& status) {
  if (absl::IsCancelled(status) && env.lifecycle->stopping()) {
    return absl::UnavailableError("the server is shutting down");
  }
  return status;
}

namespace {

absl::Status Admit(const RpcEnvironment& env, Rpc rpc,
                   const grpc::CallbackServerContext& context) {
  QS_RETURN_IF_ERROR(env.gatekeeper->Check(rpc, context));
  return env.lifecycle->Enter();
}

}  // namespace

CallScope::CallScope(Rpc rpc, const RpcEnvironment& env,
                     grpc::CallbackServerContext* context)
    : rpc_(rpc),
      env_(env),
      context_(context),
      arrived_(SteadyNow()),
      admission_(Admit(env, rpc, *context)) {}

CallScope::~CallScope() {
  if (admission_.ok()) env_.lifecycle->Leave();
}

absl::StatusOr<ModelHost*> CallScope::FindModel(absl::string_view name) {
  QS_ASSIGN_OR_RETURN(model_, env_.models->Find(name));
  return model_;
}

grpc::Status CallScope::Finish(const absl::Status& status) {
  if (absl::IsUnavailable(status)) {
    // Clients with retries configured wait this long before the next attempt.
    context_->AddTrailingMetadata("grpc-retry-pushback-ms", "100");
  }
  return FinishMessage(status);
}

grpc::Status CallScope::FinishMessage(const absl::Status& status) {
  const grpc::Status mapped = ToGrpcStatus(status);
  RpcMetrics& metrics = model_ == nullptr ? env_.metrics->rpcs_without_model()
                                          : model_->metrics().rpcs();
  metrics.Record(rpc_, variant_,
                 static_cast<absl::StatusCode>(mapped.error_code()),
                 SteadyNow() - arrived_);
  Log(status);
  return mapped;
}

void CallScope::Log(const absl::Status& status) const {
  // What an operator did is worth a line; what strangers try must not fill the
  // disk.
  const LogLevel level =
      IsPublic(rpc_) || !admission_.ok() ? LogLevel::kDebug : LogLevel::kInfo;
  if (!LogsAt(level)) return;
  CallRecord record;
  record.rpc = RpcName(rpc_);
  record.status = status;
  record.duration = SteadyNow() - arrived_;
  record.peer = context_->peer();
  if (model_ != nullptr) record.model = model_->name();
  if (variant_ != kNoVariant) {
    record.variant = VariantName(static_cast<VariantId>(variant_));
  }
  if (id_ != nullptr) record.id = *id_;
  LogCall(level, record);
}

}  // namespace quantserve
