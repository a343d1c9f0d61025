// Who may do what: tokens, certificates, the administrative port, on real
// sockets with real TLS.
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "gmock/gmock.h"
#include "inference/grpc_service.pb.h"
#include "server/rpc/security.h"
#include "spdlog/sinks/ostream_sink.h"
#include "spdlog/spdlog.h"
#include "tests/server/rpc/service_fixture.h"
#include "tests/testing/generic_call.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kToken[] = "correct-horse-battery-staple";

std::string Path(const std::string& name) {
  return ::testing::TempDir() + "auth_" + name;
}

std::string Write(const std::string& name, const std::string& text) {
  std::ofstream(Path(name)) << text;
  return Path(name);
}

std::string Read(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// A CA, a server's certificate for localhost and two clients', made once with
// the openssl program.
void MakeCertificates() {
  static const bool made = [] {
    const std::string dir = Path("");
    const auto run = [](const std::string& command) {
      EXPECT_EQ(std::system((command + " 2>/dev/null").c_str()), 0) << command;
    };
    run("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca "
        "-keyout " +
        dir + "ca.key -out " + dir + "ca.pem");
    const std::string extension =
        Write("san.cnf", "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
    for (const char* name : {"server", "operator", "stranger"}) {
      const std::string at = dir + name;
      run("openssl req -newkey rsa:2048 -nodes -subj /CN=" + std::string(name) +
          " -keyout " + at + ".key -out " + at + ".csr");
      run("openssl x509 -req -days 2 -CAcreateserial -CA " + dir +
          "ca.pem -CAkey " + dir + "ca.key -in " + at + ".csr -out " + at +
          ".pem" +
          (std::string(name) == "server" ? " -extfile " + extension : ""));
    }
    return true;
  }();
  (void)made;
}

class AuthTest : public ServiceTest {
 protected:
  // A dry run over the main port, as somebody from elsewhere would ask for it.
  grpc::Status Quantize(const std::shared_ptr<grpc::Channel>& channel,
                        const std::string& authorization = "") {
    grpc::ClientContext context;
    if (!authorization.empty()) {
      context.AddMetadata("authorization", authorization);
    }
    v1::QuantizeRequest request;
    request.set_dry_run(true);
    const auto stub = v1::QuantizationService::NewStub(channel);
    const auto reader = stub->Quantize(&context, request);
    v1::QuantizeResponse event;
    while (reader->Read(&event)) {
    }
    return reader->Finish();
  }
  void UseTls() {
    MakeCertificates();
    options_.security.tls_cert = Path("server.pem");
    options_.security.tls_key = Path("server.key");
  }
  std::shared_ptr<grpc::Channel> TlsChannel(const std::string& client = "") {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = Read(Path("ca.pem"));
    if (!client.empty()) {
      options.pem_cert_chain = Read(Path(client + ".pem"));
      options.pem_private_key = Read(Path(client + ".key"));
    }
    return grpc::CreateChannel("localhost:" + std::to_string(server_->port()),
                               grpc::SslCredentials(options));
  }
};

TEST_F(AuthTest, TheMainPortRefusesAdministrationWithoutCredentials) {
  Start();
  const grpc::Status status = Quantize(channel_);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(status.error_message(), HasSubstr("administrative"));
  // Nobody is let in by a token where there is none.
  EXPECT_EQ(Quantize(channel_, "Bearer ").error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  grpc::ClientContext context;
  v1::EvaluateResponse response;
  EXPECT_EQ(v1::QuantizationService::NewStub(channel_)
                ->Evaluate(&context, {}, &response)
                .error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  // The rest is for everybody.
  EXPECT_TRUE(client_->Predict(Request()).ok());
  EXPECT_TRUE(client_->GetStatus().ok());
}

// All of them, also those that are added one day: to be public, a method must
// be written down here.
TEST_F(AuthTest, WhateverTheFlagsStrangersMayCallWhatIsPublicOnly) {
  const std::set<std::string> open = {
      "/quantserve.v1.QuantizationService/GetStatus",
      "/quantserve.v1.InferenceService/Predict",
      "/quantserve.v1.InferenceService/PredictStream",
      "/inference.GRPCInferenceService/ServerLive",
      "/inference.GRPCInferenceService/ServerReady",
      "/inference.GRPCInferenceService/ModelReady",
      "/inference.GRPCInferenceService/ServerMetadata",
      "/inference.GRPCInferenceService/ModelMetadata",
      "/inference.GRPCInferenceService/ModelInfer",
      "/inference.GRPCInferenceService/ModelConfig",
      "/inference.GRPCInferenceService/ModelStatistics",
      "/inference.GRPCInferenceService/RepositoryIndex"};
  std::vector<std::string> closed;
  for (const auto* message :
       {v1::GetStatusRequest::descriptor(), v1::PredictRequest::descriptor(),
        inference::ModelInferRequest::descriptor()}) {
    const auto* service = message->file()->service(0);
    for (int i = 0; i < service->method_count(); ++i) {
      const std::string method =
          "/" + service->full_name() + "/" + service->method(i)->name();
      if (open.count(method) == 0) closed.push_back(method);
    }
  }
  ASSERT_GE(closed.size(), 5);
  std::vector<SecurityConfig> flags(4);
  for (SecurityConfig& config : flags) config.admin_port = 0;
  flags[1].admin_port = -1;
  flags[2].admin_token_file = Write("token", kToken);
  flags[3] = flags[2];
  flags[3].allow_plaintext_token = true;
  for (const SecurityConfig& config : flags) {
    server_.reset();
    options_.security = config;
    Start();
    for (const std::string& method : closed) {
      EXPECT_EQ(testing::CallWithBytes(channel_, method, "").error_code(),
                grpc::StatusCode::UNAUTHENTICATED)
          << method;
      for (const char* wrong : {"Bearer ", "Bearer x", "", "Basic eDp4"}) {
        EXPECT_EQ(testing::CallWithBytes(channel_, method, "",
                                         {{"authorization", wrong}})
                      .error_code(),
                  grpc::StatusCode::PERMISSION_DENIED)
            << method << " " << wrong;
      }
    }
  }
}

TEST_F(AuthTest, TheAdministrativePortNeedsNoCredentials) {
  Start();
  EXPECT_EQ(client_->GetStatus()->server().admin_port(), server_->admin_port());
  EXPECT_TRUE(Quantize(AdminChannel()).ok());
  // The client library finds it by itself.
  v1::QuantizeRequest request;
  request.set_dry_run(true);
  EXPECT_TRUE(client_->Quantize(request, nullptr).ok());
}

TEST_F(AuthTest, WithoutAnAdministrativePortThereIsNone) {
  options_.security.admin_port = -1;
  Start();
  EXPECT_EQ(server_->admin_port(), 0);
  EXPECT_EQ(client_->Quantize({}, nullptr).status().code(),
            absl::StatusCode::kUnauthenticated);
}

TEST_F(AuthTest, TheTokenOpensTheMainPort) {
  options_.security.admin_token_file =
      Write("token", std::string(kToken) + "\n");
  Start();
  EXPECT_TRUE(Quantize(channel_, std::string("Bearer ") + kToken).ok());
  for (const char* wrong :
       {"Bearer correct-horse-battery-stapld", "Bearer correct",
        "correct-horse-battery-staple", "Basic correct-horse-battery-staple"}) {
    EXPECT_EQ(Quantize(channel_, wrong).error_code(),
              grpc::StatusCode::PERMISSION_DENIED)
        << wrong;
  }
  ClientOptions options;
  options.token = kToken;
  EXPECT_TRUE(Client(target_, options).Evaluate({}).status().code() !=
              absl::StatusCode::kUnauthenticated);
}

TEST_F(AuthTest, TheTokenIsNowhereToBeSeen) {
  std::ostringstream log;
  const auto before = spdlog::default_logger();
  const auto logger = std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log));
  logger->set_level(spdlog::level::trace);
  spdlog::set_default_logger(logger);
  options_.security.admin_token_file = Write("token", kToken);
  Start();
  EXPECT_TRUE(Quantize(channel_, std::string("Bearer ") + kToken).ok());
  const grpc::Status wrong =
      Quantize(channel_, std::string("Bearer ") + kToken + "x");
  EXPECT_THAT(wrong.error_message(), Not(HasSubstr(kToken)));
  EXPECT_THAT(client_->GetStatus()->ShortDebugString(), Not(HasSubstr(kToken)));
  EXPECT_THAT(testing::HttpGet(server_->metrics_port()),
              Not(HasSubstr(kToken)));
  server_.reset();
  spdlog::set_default_logger(before);
  EXPECT_THAT(log.str(), HasSubstr("ready"));
  EXPECT_THAT(log.str(), Not(HasSubstr(kToken)));
}

TEST_F(AuthTest, SpeaksTls) {
  UseTls();
  Start();
  v1::PredictResponse response;
  grpc::ClientContext context;
  const grpc::Status status = v1::InferenceService::NewStub(TlsChannel())
                                  ->Predict(&context, Request(), &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  // Not in the clear.
  EXPECT_EQ(client_->Predict(Request()).status().code(),
            absl::StatusCode::kUnavailable);
  ClientOptions options;
  options.tls = true;
  options.tls_ca = Read(Path("ca.pem"));
  Client client("localhost:" + std::to_string(server_->port()), options);
  EXPECT_TRUE(client.Predict(Request()).ok());
  v1::QuantizeRequest request;
  request.set_dry_run(true);
  EXPECT_TRUE(client.Quantize(request, nullptr).ok());
}

TEST_F(AuthTest, ACertificateAdministratesIfItsNameMay) {
  UseTls();
  options_.security.tls_client_ca = Path("ca.pem");
  options_.security.admin_clients = {"operator"};
  Start();
  EXPECT_TRUE(Quantize(TlsChannel("operator")).ok());
  const grpc::Status stranger = Quantize(TlsChannel("stranger"));
  EXPECT_EQ(stranger.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(stranger.error_message(), HasSubstr("admin_clients"));
  // Without one nobody gets as far as a call.
  EXPECT_EQ(Quantize(TlsChannel()).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(SecretsTest, BadFilesAreNamed) {
  MakeCertificates();
  const std::string good_cert = Path("server.pem"),
                    good_key = Path("server.key");
  const std::string garbage = Write("garbage", "no PEM");
  const std::string empty = Write("empty", "\n");
  struct Case {
    SecurityConfig config;
    std::string error;
  };
  const auto tls = [](const std::string& cert, const std::string& key,
                      const std::string& ca = "") {
    SecurityConfig config;
    config.tls_cert = cert;
    config.tls_key = key;
    config.tls_client_ca = ca;
    return config;
  };
  const auto token = [](const std::string& path) {
    SecurityConfig config;
    config.admin_token_file = path;
    return config;
  };
  for (const Case& c : std::initializer_list<Case>{
           {tls("/nowhere.pem", good_key), "there is no file /nowhere.pem"},
           {tls(garbage, good_key), "holds no certificate"},
           {tls(good_cert, garbage), "holds no private key"},
           {tls(good_cert, Path("operator.key")), "is not that of"},
           {tls(good_cert, good_key, garbage), "tls_client_ca"},
           {token(empty), "is empty"},
           {token(::testing::TempDir()), "there is no file"},
           {token(Write("short", "short")), "fewer than 16 characters"}}) {
    EXPECT_THAT(std::string(ReadSecrets(c.config).status().message()),
                HasSubstr(c.error));
  }
  EXPECT_TRUE(ReadSecrets(tls(good_cert, good_key)).ok());
}

TEST(SecurityOptionsTest, RefusesWhatContradicts) {
  const auto error = [](const std::function<void(ServerOptions*)>& change) {
    ServerOptions options;
    options.models[0].model.path = "m.pt";
    options.models[0].model.name = "m";
    options.models[0].model.inputs = {{Shape{1}}};
    change(&options);
    return std::string(options.Validate().message());
  };
  EXPECT_EQ(error([](ServerOptions*) {}), "");
  EXPECT_THAT(error([](ServerOptions* o) { o->security.tls_cert = "c"; }),
              HasSubstr("go together"));
  EXPECT_THAT(
      error([](ServerOptions* o) { o->security.admin_clients = {"a"}; }),
      HasSubstr("needs tls_client_ca"));
  EXPECT_THAT(error([](ServerOptions* o) {
                o->security.admin_token_file = "t";
                o->network.address = "0.0.0.0";
              }),
              HasSubstr("in the clear"));
  EXPECT_EQ(error([](ServerOptions* o) {
              o->security.admin_token_file = "t";
              o->network.address = "0.0.0.0";
              o->security.allow_plaintext_token = true;
            }),
            "");
}

}  // namespace
}  // namespace quantserve
