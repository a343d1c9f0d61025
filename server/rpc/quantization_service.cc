#include "server/rpc/quantization_service.h"

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "quant/base/status_macros.h"
#include "server/rpc/job_cancel.h"
#include "server/rpc/quantize_call.h"
#include "server/rpc/report_codec.h"

namespace quantserve {
namespace {

class StatusCall final : public UnaryCall {
 public:
  StatusCall(const RpcEnvironment& env, grpc::CallbackServerContext* context)
      : UnaryCall(Rpc::kGetStatus, env, context), env_(env) {}

  void Start(const v1::GetStatusRequest& request,
             v1::GetStatusResponse* response) {
    absl::Status status = scope().admission();
    const ModelHost* model = nullptr;  // all
    if (status.ok() && !request.model().empty()) {
      const auto found = scope().FindModel(request.model());
      status = found.status();
      if (found.ok()) model = *found;
    }
    if (status.ok()) EncodeStatus(env_, model, response);
    Complete(status);
  }

 private:
  const RpcEnvironment& env_;
};

class EvaluateCall final : public UnaryCall {
 public:
  EvaluateCall(const RpcEnvironment& env, grpc::CallbackServerContext* context,
               v1::EvaluateResponse* response)
      : UnaryCall(Rpc::kEvaluate, env, context),
        env_(env),
        response_(response) {}

  void Start(const v1::EvaluateRequest& request) {
    const absl::Status started = StartJob(request);
    if (!started.ok()) Complete(started);
  }

 private:
  absl::Status StartJob(const v1::EvaluateRequest& request) {
    QS_RETURN_IF_ERROR(scope().admission());
    QS_ASSIGN_OR_RETURN(ModelHost * model, scope().FindModel(request.model()));
    QS_ASSIGN_OR_RETURN(
        EvaluateSpec spec,
        model->MakeEvaluateSpec(request.variant(), request.shard(),
                                request.samples()));
    QS_ASSIGN_OR_RETURN(
        auto job, model->Evaluate(
                      std::move(spec), nullptr,
                      [this](const absl::StatusOr<EvaluationOutcome>& outcome) {
                        if (outcome.ok()) {
                          const auto variant = ParseVariant(outcome->variant);
                          if (variant.has_value())
                            scope().set_variant(*variant);
                          EncodeOutcome(*outcome, response_);
                        }
                        Complete(JobStatus(env_, outcome.status()));
                      }));
    cancel_.SetJob(std::move(job));
    return absl::OkStatus();
  }

  void OnCancel() override { cancel_.Cancel(); }

  const RpcEnvironment& env_;
  v1::EvaluateResponse* const response_;
  JobCancel cancel_;
};

// One quick thing done with a model.
class QuickCall final : public UnaryCall {
 public:
  QuickCall(Rpc rpc, const RpcEnvironment& env,
            grpc::CallbackServerContext* context)
      : UnaryCall(rpc, env, context) {}

  void Start(const std::string& model,
             const std::function<absl::Status(ModelHost*)>& act) {
    Complete(Run(model, act));
  }

 private:
  absl::Status Run(const std::string& model,
                   const std::function<absl::Status(ModelHost*)>& act) {
    QS_RETURN_IF_ERROR(scope().admission());
    QS_ASSIGN_OR_RETURN(ModelHost * host, scope().FindModel(model));
    scope().set_variant(VariantId::kInt8);
    return act(host);
  }
};

template <typename Response>
void EncodeGenerations(const ModelHost& host, const ServedVariant& served,
                       Response* response) {
  response->set_generation(served.generation);
  const auto previous = host.registry().previous();
  if (previous != nullptr) {
    response->set_previous_generation(previous->generation);
  }
}

}  // namespace

grpc::ServerWriteReactor<v1::QuantizeResponse>*
QuantizationServiceImpl::Quantize(grpc::CallbackServerContext* context,
                                  const v1::QuantizeRequest* request) {
  auto* call = new QuantizeCall(env_, context);
  call->Start(*request);
  return call;
}

grpc::ServerUnaryReactor* QuantizationServiceImpl::GetStatus(
    grpc::CallbackServerContext* context, const v1::GetStatusRequest* request,
    v1::GetStatusResponse* response) {
  auto* call = new StatusCall(env_, context);
  call->Start(*request, response);
  return call;
}

grpc::ServerUnaryReactor* QuantizationServiceImpl::Evaluate(
    grpc::CallbackServerContext* context, const v1::EvaluateRequest* request,
    v1::EvaluateResponse* response) {
  auto* call = new EvaluateCall(env_, context, response);
  call->Start(*request);
  return call;
}

grpc::ServerUnaryReactor* QuantizationServiceImpl::Promote(
    grpc::CallbackServerContext* context, const v1::PromoteRequest* request,
    v1::PromoteResponse* response) {
  auto* call = new QuickCall(Rpc::kPromote, env_, context);
  call->Start(request->model(), [&](ModelHost* host) -> absl::Status {
    QS_ASSIGN_OR_RETURN(const auto served,
                        host->Promote(request->generation()));
    EncodeGenerations(*host, *served, response);
    return absl::OkStatus();
  });
  return call;
}

grpc::ServerUnaryReactor* QuantizationServiceImpl::Rollback(
    grpc::CallbackServerContext* context, const v1::RollbackRequest* request,
    v1::RollbackResponse* response) {
  auto* call = new QuickCall(Rpc::kRollback, env_, context);
  call->Start(request->model(), [&](ModelHost* host) -> absl::Status {
    QS_ASSIGN_OR_RETURN(const auto served, host->Rollback());
    EncodeGenerations(*host, *served, response);
    return absl::OkStatus();
  });
  return call;
}

grpc::ServerUnaryReactor* QuantizationServiceImpl::SetRouting(
    grpc::CallbackServerContext* context, const v1::SetRoutingRequest* request,
    v1::SetRoutingResponse* response) {
  auto* call = new QuickCall(Rpc::kSetRouting, env_, context);
  call->Start(request->model(), [&](ModelHost* host) -> absl::Status {
    std::optional<int> int8_percent, shadow_percent;
    if (request->has_int8_percent()) int8_percent = request->int8_percent();
    if (request->has_shadow_percent()) {
      shadow_percent = request->shadow_percent();
    }
    QS_RETURN_IF_ERROR(host->SetRouting(int8_percent, shadow_percent));
    EncodeRouting(*host, response->mutable_routing());
    return absl::OkStatus();
  });
  return call;
}

}  // namespace quantserve
