#include "server/rpc/security.h"

#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

constexpr size_t kMaxBytes = 1 << 20;
constexpr size_t kShortestToken = 16;

absl::StatusOr<std::string> ReadSecret(const char* what,
                                       const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return absl::NotFoundError(
        absl::StrCat(what, ": there is no file ", path, ": ",
                     error ? error.message() : "not a regular file"));
  }
  if (std::filesystem::file_size(path, error) > kMaxBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, ": ", path, " is larger than ", kMaxBytes, " bytes"));
  }
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  std::string content = text.str();
  absl::StripAsciiWhitespace(&content);
  if (!file || content.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": ", path, " is empty or can't be read"));
  }
  return content;
}

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

std::unique_ptr<X509, Free> ParseCertificate(const std::string& pem) {
  const std::unique_ptr<BIO, Free> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return std::unique_ptr<X509, Free>(
      PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

std::unique_ptr<EVP_PKEY, Free> ParseKey(const std::string& pem) {
  const std::unique_ptr<BIO, Free> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  // An encrypted key would be asked for on the terminal.
  const auto no_password = [](char*, int, int, void*) { return 0; };
  return std::unique_ptr<EVP_PKEY, Free>(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
}

absl::Status NoPem(const char* what, const std::string& path,
                   const char* wanted) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": ", path, " holds no ", wanted, ", want PEM"));
}

// The names that a verified certificate gives its holder.
std::vector<std::string> NamesOf(const grpc::AuthContext& peer) {
  std::vector<std::string> names;
  for (const char* property :
       {"x509_common_name", "x509_subject_alternative_name"}) {
    for (const grpc::string_ref& name : peer.FindPropertyValues(property)) {
      names.emplace_back(name.data(), name.size());
    }
  }
  return names;
}

}  // namespace

absl::StatusOr<Secrets> ReadSecrets(const SecurityConfig& config) {
  Secrets secrets;
  if (!config.admin_token_file.empty()) {
    QS_ASSIGN_OR_RETURN(
        secrets.admin_token,
        ReadSecret("admin_token_file", config.admin_token_file));
    if (secrets.admin_token.size() < kShortestToken) {
      return absl::InvalidArgumentError(absl::StrCat(
          "admin_token_file: ", config.admin_token_file,
          " holds a token of fewer than ", kShortestToken, " characters"));
    }
  }
  if (config.tls_cert.empty()) return secrets;
  QS_ASSIGN_OR_RETURN(secrets.cert, ReadSecret("tls_cert", config.tls_cert));
  QS_ASSIGN_OR_RETURN(secrets.key, ReadSecret("tls_key", config.tls_key));
  const auto certificate = ParseCertificate(secrets.cert);
  if (certificate == nullptr) {
    return NoPem("tls_cert", config.tls_cert, "certificate");
  }
  const auto key = ParseKey(secrets.key);
  if (key == nullptr) {
    return NoPem("tls_key", config.tls_key, "private key without a password");
  }
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("the key in ", config.tls_key,
                     " is not that of the certificate in ", config.tls_cert));
  }
  if (config.tls_client_ca.empty()) return secrets;
  QS_ASSIGN_OR_RETURN(secrets.client_ca,
                      ReadSecret("tls_client_ca", config.tls_client_ca));
  if (ParseCertificate(secrets.client_ca) == nullptr) {
    return NoPem("tls_client_ca", config.tls_client_ca, "certificate");
  }
  return secrets;
}

std::shared_ptr<grpc::ServerCredentials> MakeCredentials(
    const Secrets& secrets) {
  if (secrets.cert.empty()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options(
      secrets.client_ca.empty()
          ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
          : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_key_cert_pairs = {{secrets.key, secrets.cert}};
  options.pem_root_certs = secrets.client_ca;
  return grpc::SslServerCredentials(options);
}

bool IsPublic(Rpc rpc) {
  return rpc == Rpc::kPredict || rpc == Rpc::kPredictStream ||
         rpc == Rpc::kGetStatus || rpc == Rpc::kModelInfer || rpc == Rpc::kOip;
}

Gatekeeper::Gatekeeper(bool trusted, std::string token,
                       std::vector<std::string> clients)
    : trusted_(trusted),
      token_(std::move(token)),
      clients_(std::move(clients)) {}

absl::Status Gatekeeper::Check(Rpc rpc,
                               const grpc::ServerContextBase& context) const {
  if (trusted_ || IsPublic(rpc)) return absl::OkStatus();
  const auto peer = context.auth_context();
  const bool verified = peer != nullptr && peer->IsPeerAuthenticated();
  if (verified) {
    for (const std::string& name : NamesOf(*peer)) {
      if (std::find(clients_.begin(), clients_.end(), name) != clients_.end()) {
        return absl::OkStatus();
      }
    }
  }
  const auto header = context.client_metadata().find("authorization");
  if (header == context.client_metadata().end()) {
    if (verified) {
      return absl::PermissionDeniedError(absl::StrCat(
          RpcName(rpc),
          " is an administrative call: none of the certificate's names is in "
          "the server's --admin_clients"));
    }
    return absl::UnauthenticatedError(absl::StrCat(
        RpcName(rpc),
        " is an administrative call: it needs a bearer token or a client "
        "certificate, or the server's administrative port on its own machine"));
  }
  absl::string_view given(header->second.data(), header->second.size());
  if (!token_.empty() && absl::ConsumePrefix(&given, "Bearer ") &&
      given.size() == token_.size() &&
      CRYPTO_memcmp(given.data(), token_.data(), token_.size()) == 0) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(
      absl::StrCat(RpcName(rpc),
                   " is an administrative call: the credentials are not the "
                   "server's, want \"authorization: Bearer TOKEN\""));
}

}  // namespace quantserve
