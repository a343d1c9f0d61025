// Who may do what: TLS, and what an administrative call must present.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_context.h"
#include "server/core/rpc_metrics.h"
#include "server/core/server_options.h"

namespace quantserve {

// What SecurityConfig's files hold. Never logged.
struct Secrets {
  std::string admin_token;  // empty: none is accepted
  std::string cert, key;    // PEM; empty: no TLS
  std::string client_ca;    // PEM; empty: clients need no certificate
};

// Reads the files. INVALID_ARGUMENT or NOT_FOUND that names the file: it is
// missing, empty, larger than 1 MiB, no PEM, or key and certificate are not of
// one pair.
absl::StatusOr<Secrets> ReadSecrets(const SecurityConfig& config);

// TLS if there is a certificate.
std::shared_ptr<grpc::ServerCredentials> MakeCredentials(
    const Secrets& secrets);

// Whether a call may be made by whoever reaches the port. Every RPC that is not
// on the list in the source is administrative, new ones included.
bool IsPublic(Rpc rpc);

// What a port asks of administrative calls. Thread-safe.
class Gatekeeper {
 public:
  // `trusted`: nothing is asked, as only this machine reaches the port.
  Gatekeeper(bool trusted, std::string token, std::vector<std::string> clients);

  // OK; UNAUTHENTICATED without credentials, PERMISSION_DENIED with others than
  // the right ones. What was presented is in no message.
  absl::Status Check(Rpc rpc, const grpc::ServerContextBase& context) const;

 private:
  const bool trusted_;
  const std::string token_;
  const std::vector<std::string> clients_;
};

}  // namespace quantserve
