// What clients and load balancers see of starts, swaps and stops, on real
// sockets with a fake model.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "tests/server/rpc/service_fixture.h"

namespace quantserve {
namespace {

using HealthResponse = grpc::health::v1::HealthCheckResponse;

// What a health client that watches `service` is told.
class Watcher {
 public:
  Watcher(const std::shared_ptr<grpc::Channel>& channel,
          const std::string& service)
      : stub_(grpc::health::v1::Health::NewStub(channel)) {
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    reader_ = stub_->Watch(&context_, request);
  }
  ~Watcher() { context_.TryCancel(); }
  HealthResponse::ServingStatus Next() {
    HealthResponse response;
    return reader_->Read(&response) ? response.status()
                                    : HealthResponse::UNKNOWN;
  }

 private:
  const std::unique_ptr<grpc::health::v1::Health::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<HealthResponse>> reader_;
};

class LifecycleRpcTest : public ServiceTest {
 protected:
  void Quantize() {
    const auto result = client_->Quantize({}, nullptr);
    EXPECT_TRUE(result.ok()) << result.status();
  }
};

// Whatever a watcher was told in between would come before the end's.
TEST_F(LifecycleRpcTest, AVariantsWatchersSeeNothingOfSwaps) {
  options_.models[0].rollout.keep_previous = true;
  Listen();
  Watcher variant(channel_, "fake/int8"), model(channel_, "fake");
  EXPECT_EQ(variant.Next(), HealthResponse::NOT_SERVING);
  EXPECT_EQ(model.Next(), HealthResponse::NOT_SERVING);
  ASSERT_TRUE(server_->StartUp().ok());
  EXPECT_EQ(variant.Next(), HealthResponse::SERVING);
  EXPECT_EQ(model.Next(), HealthResponse::SERVING);
  for (int swap = 0; swap < 5; ++swap) Quantize();
  EXPECT_TRUE(client_->Rollback({}).ok());
  server_->BeginShutdown();
  EXPECT_EQ(variant.Next(), HealthResponse::NOT_SERVING);
  EXPECT_EQ(model.Next(), HealthResponse::NOT_SERVING);
  EXPECT_TRUE(server_->Shutdown());
}

TEST_F(LifecycleRpcTest, AVariantThatComesLaterIsSeenByItsWatchers) {
  controls_->fail_quantize = true;
  Start();
  Watcher int8(channel_, "fake/int8"), fp32(channel_, "fake/fp32");
  EXPECT_EQ(int8.Next(), HealthResponse::NOT_SERVING);
  EXPECT_EQ(fp32.Next(), HealthResponse::SERVING);
  controls_->fail_quantize = false;
  Quantize();
  EXPECT_EQ(int8.Next(), HealthResponse::SERVING);
}

TEST_F(LifecycleRpcTest, AnUnknownNameIsToldSo) {
  Start();
  EXPECT_EQ(Watcher(channel_, "fake/int4").Next(),
            HealthResponse::SERVICE_UNKNOWN);
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service("fake/int4");
  HealthResponse response;
  EXPECT_EQ(grpc::health::v1::Health::NewStub(channel_)
                ->Check(&context, request, &response)
                .error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(LifecycleRpcTest, BothPortsSayTheSame) {
  Start();
  Watcher watcher(AdminChannel(), "fake/int8");
  EXPECT_EQ(watcher.Next(), HealthResponse::SERVING);
  server_->BeginShutdown();
  EXPECT_EQ(watcher.Next(), HealthResponse::NOT_SERVING);
}

// A connection that speaks just enough HTTP/2 to hear GOAWAY.
class Http2Connection {
 public:
  explicit Http2Connection(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    EXPECT_EQ(
        connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
        0);
    // A test that fails ends as well.
    const timeval patience = {20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    // The preface, and empty settings.
    std::string hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    hello += std::string("\0\0\0\4\0\0\0\0\0", 9);
    EXPECT_EQ(send(fd_, hello.data(), hello.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(hello.size()));
  }
  ~Http2Connection() { close(fd_); }

  // Whether a frame of that type comes before the connection's end.
  bool Await(uint8_t type) {
    std::string head(9, '\0');
    while (Read(&head)) {
      const auto byte = [&](int i) { return static_cast<uint8_t>(head[i]); };
      std::string payload((byte(0) << 16) + (byte(1) << 8) + byte(2), '\0');
      if (!Read(&payload)) return false;
      if (byte(3) == type) return true;
    }
    return false;
  }

 private:
  bool Read(std::string* whole) {
    size_t done = 0;
    while (done < whole->size()) {
      const ssize_t n = recv(fd_, &(*whole)[done], whole->size() - done, 0);
      if (n <= 0) return false;
      done += static_cast<size_t>(n);
    }
    return true;
  }
  const int fd_;
};

// The order of the end: what is in flight is answered after clients were told
// to go away.
TEST_F(LifecycleRpcTest, ClientsAreToldToGoAwayBeforeWhatIsInFlightEnds) {
  constexpr uint8_t kSettings = 4, kGoAway = 7;
  Start();
  Http2Connection connection(server_->port());
  ASSERT_TRUE(connection.Await(kSettings));
  controls_->runs.Close();
  std::thread caller([this] {
    const auto response = client_->Predict(Request());
    EXPECT_TRUE(response.ok()) << response.status();
  });
  controls_->runs.AwaitWaiting(1);
  std::thread stopper([this] { EXPECT_TRUE(server_->Shutdown()); });
  EXPECT_TRUE(connection.Await(kGoAway));
  controls_->runs.Open();
  caller.join();
  stopper.join();
}

// A watcher never ends by itself; the end does not wait for the time that
// requests would have.
TEST_F(LifecycleRpcTest, AnIdleStreamHoldsUpNoEnd) {
  options_.network.drain = absl::Minutes(10);
  Start();
  Watcher watcher(channel_, "");
  EXPECT_EQ(watcher.Next(), HealthResponse::SERVING);
  grpc::ClientContext context;
  const auto stub = v1::InferenceService::NewStub(channel_);
  const auto stream = stub->PredictStream(&context);
  ASSERT_TRUE(stream->Write(Request()));
  v1::PredictStreamReply reply;
  ASSERT_TRUE(stream->Read(&reply));
  const absl::Time start = absl::Now();
  EXPECT_TRUE(server_->Shutdown());
  EXPECT_LT(absl::Now() - start, absl::Minutes(5));
  EXPECT_FALSE(stream->Read(&reply));
}

}  // namespace
}  // namespace quantserve
