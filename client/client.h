// A client of the server, for C++ programs.
//
//   quantserve::Client client("127.0.0.1:8001");
//   absl::StatusOr<quantserve::v1::PredictResponse> answer =
//       client.Predict(request);
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "quantserve/v1/inference.grpc.pb.h"
#include "quantserve/v1/quantization.grpc.pb.h"

namespace grpc {
class Channel;
class ClientContext;
}  // namespace grpc

namespace quantserve {

struct ClientOptions {
  // Of each Predict and GetStatus, connecting included.
  absl::Duration deadline = absl::Seconds(10);
  // Of each Quantize and Evaluate, which read whole shards.
  absl::Duration job_deadline = absl::Minutes(10);
  // Of an answer. A Quantize with its report takes up to 48 MiB.
  int max_message_bytes = 64 << 20;
  // TLS, with the certificate of the server's CA; empty: the system's.
  bool tls = false;
  std::string tls_ca;  // PEM
  // What the server's certificate is to be for; empty: the target's host.
  std::string tls_name;
  // What the client shows of itself, if the server asks for it. PEM.
  std::string tls_cert, tls_key;
  // Sent with administrative calls.
  std::string token;
};

// Administrative calls (all but Predict and GetStatus) without a token or a
// certificate, to a server on this machine, go to its administrative port, for
// which GetStatus is asked once.
//
// Each method is one call with a deadline and gives the server's code and
// message if it fails: UNAVAILABLE if nobody answers. Thread-safe.
class Client {
 public:
  using OnProgress = std::function<void(const v1::Progress&)>;

  // `target` is what gRPC takes: "host:port", "dns:///…". Connects when first
  // needed. Clients for one target have a connection each.
  explicit Client(const std::string& target, ClientOptions options = {});
  ~Client();

  absl::StatusOr<v1::PredictResponse> Predict(
      const v1::PredictRequest& request);
  absl::StatusOr<v1::GetStatusResponse> GetStatus(
      const v1::GetStatusRequest& request = {});
  absl::StatusOr<v1::EvaluateResponse> Evaluate(
      const v1::EvaluateRequest& request);

  // `on_progress` may be empty. If the gate refuses, the status is
  // FAILED_PRECONDITION and `*refused`, if given, gets the numbers.
  absl::StatusOr<v1::QuantizeResult> Quantize(
      const v1::QuantizeRequest& request, const OnProgress& on_progress,
      v1::QuantizeResult* refused = nullptr);

  absl::StatusOr<v1::PromoteResponse> Promote(
      const v1::PromoteRequest& request);
  absl::StatusOr<v1::RollbackResponse> Rollback(
      const v1::RollbackRequest& request);
  absl::StatusOr<v1::SetRoutingResponse> SetRouting(
      const v1::SetRoutingRequest& request);

  // Waits until the server's health says SERVING, starting included; of
  // `service`, if that is given: "MODEL", "MODEL/VARIANT", "live".
  // DEADLINE_EXCEEDED if `timeout` passes before, with what it said last.
  absl::Status AwaitReady(absl::Duration timeout,
                          const std::string& service = "");

 private:
  absl::StatusOr<v1::QuantizationService::Stub*> Admin();
  void Authorize(grpc::ClientContext* context) const;

  const std::string target_;
  const ClientOptions options_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::InferenceService::Stub> inference_;
  const std::unique_ptr<v1::QuantizationService::Stub> quantization_;
  std::mutex admin_mutex_;
  // Of the administrative port; made when first needed, by the mutex.
  std::unique_ptr<v1::QuantizationService::Stub> admin_;
};

}  // namespace quantserve
