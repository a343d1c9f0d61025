// A gRPC port: services, health, reflection.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "grpcpp/server.h"
#include "quant/base/mutex.h"
#include "server/rpc/call.h"
#include "server/rpc/inference_service.h"
#include "server/rpc/oip_service.h"
#include "server/rpc/quantization_service.h"

namespace quantserve {

// Thread-safe.
class Listener {
 public:
  struct Options {
    std::string address;
    int port = 0;  // 0: any free one
    int max_message_bytes = 0;
    std::shared_ptr<grpc::ServerCredentials> credentials;
    ConnectionConfig connections;
  };

  // Listens at once, health NOT_SERVING but for kLiveName. `env` outlives the
  // listener.
  // UNAVAILABLE, naming address and port, if it can't listen there.
  static absl::StatusOr<std::unique_ptr<Listener>> Start(
      const Options& options, const RpcEnvironment& env);
  // Shuts down at once.
  ~Listener();

  int port() const { return port_; }
  // What health Check and Watch say, for "" and for each service.
  void SetServing(bool serving);
  // The same for a model, "MODEL", or a variant, "MODEL/VARIANT".
  void SetServing(const std::string& name, bool serving);
  // NOT_SERVING for every name but kLiveName, for good.
  void EndServing();
  // Stops listening and says so on every connection (GOAWAY), so that clients
  // look for another server. What is in flight goes on. Never blocks.
  void GoAway();
  // The same, if it has not been said, and the end: calls that still run are
  // cancelled when `grace` is over.
  void Shutdown(absl::Duration grace);

 private:
  explicit Listener(const RpcEnvironment& env);

  InferenceServiceImpl inference_;
  QuantizationServiceImpl quantization_;
  OipServiceImpl oip_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;

  Mutex health_mu_;
  std::map<std::string, bool> shown_ ABSL_GUARDED_BY(health_mu_);
  bool health_ended_ ABSL_GUARDED_BY(health_mu_) = false;

  bool ended_ = false;
  std::thread leaving_;  // waits for what is in flight
  Mutex mu_;
  CondVar changed_;
  bool left_ ABSL_GUARDED_BY(mu_) = false;  // nothing is in flight any more
};

}  // namespace quantserve
