#include "client/client.h"

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/channel.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/client_context.h"

namespace quantserve {
namespace {

void SetDeadline(absl::Duration deadline, grpc::ClientContext* context) {
  context->set_deadline(absl::ToChronoTime(absl::Now() + deadline));
}

bool IsLoopback(const std::string& target) {
  for (const char* host : {"localhost:", "127.", "[::1]:"}) {
    if (target.rfind(host, 0) == 0) return true;
  }
  return false;
}

}  // namespace

Client::Client(const std::string& target, ClientOptions options)
    : target_(target),
      options_(options),
      channel_(MakeChannel(target, options)),
      inference_(v1::InferenceService::NewStub(channel_)),
      quantization_(v1::QuantizationService::NewStub(channel_)) {}

Client::~Client() = default;

absl::StatusOr<v1::QuantizationService::Stub*> Client::Admin() {
  const bool credentials =
      !options_.token.empty() || !options_.tls_cert.empty();
  if (credentials || !IsLoopback(target_)) return quantization_.get();
  const std::lock_guard<std::mutex> lock(admin_mutex_);
  if (admin_ != nullptr) return admin_.get();
  const auto status = GetStatus();
  // Others than ours may leave GetStatus out.
  if (absl::IsUnimplemented(status.status())) return quantization_.get();
  if (!status.ok()) return status.status();
  const int port = status->server().admin_port();
  if (port <= 0) return quantization_.get();
  ClientOptions plain = options_;
  plain.tls = false;
  admin_ = v1::QuantizationService::NewStub(
      MakeChannel(absl::StrCat("127.0.0.1:", port), plain));
  return admin_.get();
}

void Client::Authorize(grpc::ClientContext* context) const {
  if (options_.token.empty()) return;
  context->AddMetadata("authorization",
                       absl::StrCat("Bearer ", options_.token));
}

absl::StatusOr<v1::PredictResponse> Client::Predict(
    const v1::PredictRequest& request) {
  grpc::ClientContext context;
  SetDeadline(options_.deadline, &context);
  v1::PredictResponse response;
  absl::Status status =
      FromGrpc(inference_->Predict(&context, request, &response));
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::GetStatusResponse> Client::GetStatus(
    const v1::GetStatusRequest& request) {
  grpc::ClientContext context;
  SetDeadline(options_.deadline, &context);
  v1::GetStatusResponse response;
  absl::Status status =
      FromGrpc(quantization_->GetStatus(&context, request, &response));
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::EvaluateResponse> Client::Evaluate(
    const v1::EvaluateRequest& request) {
  const auto admin = Admin();
  if (!admin.ok()) return admin.status();
  grpc::ClientContext context;
  SetDeadline(options_.job_deadline, &context);
  Authorize(&context);
  v1::EvaluateResponse response;
  absl::Status status =
      FromGrpc((*admin)->Evaluate(&context, request, &response));
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::QuantizeResult> Client::Quantize(
    const v1::QuantizeRequest& request, const OnProgress& on_progress,
    v1::QuantizeResult* refused) {
  const auto admin = Admin();
  if (!admin.ok()) return admin.status();
  grpc::ClientContext context;
  SetDeadline(options_.job_deadline, &context);
  Authorize(&context);
  const auto reader = (*admin)->Quantize(&context, request);
  v1::QuantizeResponse event;
  v1::QuantizeResult result;
  bool has_result = false;
  while (reader->Read(&event)) {
    if (event.has_progress() && on_progress) on_progress(event.progress());
    if (event.has_result()) {
      result = std::move(*event.mutable_result());
      has_result = true;
    }
  }
  absl::Status status = FromGrpc(reader->Finish());
  if (!status.ok()) {
    if (refused != nullptr && has_result) *refused = std::move(result);
    return status;
  }
  if (!has_result) {
    return absl::InternalError("the server ended the stream without a result");
  }
  return result;
}

absl::StatusOr<v1::PromoteResponse> Client::Promote(
    const v1::PromoteRequest& request) {
  const auto admin = Admin();
  if (!admin.ok()) return admin.status();
  grpc::ClientContext context;
  SetDeadline(options_.deadline, &context);
  Authorize(&context);
  v1::PromoteResponse response;
  absl::Status status =
      FromGrpc((*admin)->Promote(&context, request, &response));
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::RollbackResponse> Client::Rollback(
    const v1::RollbackRequest& request) {
  const auto admin = Admin();
  if (!admin.ok()) return admin.status();
  grpc::ClientContext context;
  SetDeadline(options_.deadline, &context);
  Authorize(&context);
  v1::RollbackResponse response;
  absl::Status status =
      FromGrpc((*admin)->Rollback(&context, request, &response));
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::SetRoutingResponse> Client::SetRouting(
    const v1::SetRoutingRequest& request) {
  const auto admin = Admin();
  if (!admin.ok()) return admin.status();
  grpc::ClientContext context;
  SetDeadline(options_.deadline, &context);
  Authorize(&context);
  v1::SetRoutingResponse response;
  absl::Status status =
      FromGrpc((*admin)->SetRouting(&context, request, &response));
  if (!status.ok()) return status;
  return response;
}

absl::Status Client::AwaitReady(absl::Duration timeout,
                                const std::string& service) {
  using grpc::health::v1::HealthCheckResponse;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  const absl::Time deadline = absl::Now() + timeout;
  const auto health = grpc::health::v1::Health::NewStub(channel_);
  std::string last = "nobody answers";
  while (absl::Now() < deadline) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(deadline));
    context.set_wait_for_ready(true);
    const auto reader = health->Watch(&context, request);
    HealthCheckResponse response;
    while (reader->Read(&response)) {
      if (response.status() == HealthCheckResponse::SERVING) {
        context.TryCancel();
        return absl::OkStatus();
      }
      last = HealthCheckResponse::ServingStatus_Name(response.status());
    }
    const absl::Status status = FromGrpc(reader->Finish());
    if (absl::IsUnimplemented(status)) return status;
    // The stream broke: the server went. Another may come.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return absl::DeadlineExceededError(absl::StrCat(
      service.empty() ? "the server" : service, " is not ready after ",
      absl::FormatDuration(timeout), ": ", last));
}

}  // namespace quantserve
