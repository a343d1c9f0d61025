// The client against servers that misbehave in ways that ours does not.
#include "client/client.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;

// Answers as told.
class ScriptedServer : public v1::QuantizationService::Service {
 public:
  ScriptedServer() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  std::string target() const { return "127.0.0.1:" + std::to_string(port_); }

  bool send_result = true;
  grpc::Status status = grpc::Status::OK;

  grpc::Status Quantize(
      grpc::ServerContext*, const v1::QuantizeRequest* request,
      grpc::ServerWriter<v1::QuantizeResponse>* writer) override {
    v1::QuantizeResponse event;
    event.mutable_progress()->set_phase("ranges");
    writer->Write(event);
    if (send_result) {
      event.mutable_result()->set_generation(7);
      event.mutable_result()->set_dry_run(request->dry_run());
      writer->Write(event);
    }
    return status;
  }

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// A port that takes connections and never says a word.
class SilentPort {
 public:
  SilentPort() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(fd_, generic, size), 0);
    EXPECT_EQ(listen(fd_, 8), 0);
    EXPECT_EQ(getsockname(fd_, generic, &size), 0);
    port_ = ntohs(address.sin_port);
  }
  ~SilentPort() { close(fd_); }
  std::string target() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  const int fd_;
  int port_ = 0;
};

TEST(ClientTest, SaysThatNobodyListens) {
  std::string target;
  { target = SilentPort().target(); }
  Client client(target);
  EXPECT_EQ(client.Predict({}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(client.Quantize({}, nullptr).status().code(),
            absl::StatusCode::kUnavailable);
}

TEST(ClientTest, EveryCallEndsAtItsDeadline) {
  const SilentPort silent;
  ClientOptions options;
  options.deadline = options.job_deadline = absl::Milliseconds(50);
  Client client(silent.target(), options);
  for (const absl::Status& status :
       {client.Predict({}).status(), client.GetStatus().status(),
        client.Evaluate({}).status(), client.Quantize({}, nullptr).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  }
}

TEST(ClientTest, WaitingForReadinessEndsToo) {
  const SilentPort silent;
  Client client(silent.target());
  const absl::Status status = client.AwaitReady(absl::Milliseconds(50));
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(status.message()), HasSubstr("not ready after 50ms"));
}

TEST(ClientTest, WaitingForAServerWithoutHealthEndsAtOnce) {
  ScriptedServer server;
  Client client(server.target());
  EXPECT_EQ(client.AwaitReady(absl::Minutes(1)).code(),
            absl::StatusCode::kUnimplemented);
}

TEST(ClientTest, QuantizeGivesProgressAndTheResult) {
  ScriptedServer server;
  Client client(server.target());
  int events = 0;
  v1::QuantizeRequest request;
  request.set_dry_run(true);
  const auto result = client.Quantize(request, [&](const v1::Progress& p) {
    EXPECT_EQ(p.phase(), "ranges");
    ++events;
  });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->generation(), 7);
  EXPECT_TRUE(result->dry_run());
  EXPECT_EQ(events, 1);
}

TEST(ClientTest, ARefusalGivesTheServersWordsAndNumbers) {
  ScriptedServer server;
  server.status = {grpc::StatusCode::FAILED_PRECONDITION, "the gate refused"};
  Client client(server.target());
  v1::QuantizeResult refused;
  const auto result = client.Quantize({}, nullptr, &refused);
  EXPECT_EQ(result.status(), absl::FailedPreconditionError("the gate refused"));
  EXPECT_EQ(refused.generation(), 7);
}

TEST(ClientTest, AStreamWithoutAResultIsAnError) {
  ScriptedServer server;
  server.send_result = false;
  Client client(server.target());
  EXPECT_EQ(client.Quantize({}, nullptr).status().code(),
            absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace quantserve
