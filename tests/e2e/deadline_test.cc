// Nothing that a peer may keep the server waiting for lasts for ever: each wait
// has its limit, and whoever keeps within it is left alone.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/e2e/footprint.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/http_get.h"
#include "tests/testing/raw_peer.h"

namespace quantserve {
namespace {

using testing::AwaitAllClosed;
using testing::FootprintOf;
using testing::RawPeer;
using testing::ServerProcess;
using testing::SumOfMetric;

constexpr char kPredict[] = "/quantserve.v1.InferenceService/Predict";
constexpr char kStream[] = "/quantserve.v1.InferenceService/PredictStream";
constexpr char kGetStatus[] = "/quantserve.v1.QuantizationService/GetStatus";
constexpr char kQuantize[] = "/quantserve.v1.QuantizationService/Quantize";
// The limits are a second or ten; the machine may be busy with other tests.
constexpr absl::Duration kPatience = absl::Minutes(2);

class DeadlineTest : public ::testing::Test {
 protected:
  void Serve(const std::vector<std::string>& flags) {
    server_ = std::make_unique<ServerProcess>(model_, flags);
    server_->AwaitReady();
  }
  RawPeer* Connect(int port, int receive_buffer = 0) {
    peers_.push_back(std::make_unique<RawPeer>(port, receive_buffer));
    EXPECT_TRUE(peers_.back()->open());
    return peers_.back().get();
  }
  RawPeer* Greeted(uint32_t window = 65535) {
    RawPeer* peer = Connect(server_->port());
    EXPECT_TRUE(peer->Greet(window));
    return peer;
  }
  std::string Message() const {
    v1::PredictRequest request;
    *request.add_inputs() = testing::ReadSamples(model_.test, 0, 1);
    return request.SerializeAsString();
  }
  // Polls until it is true; `pumped` answer PINGs meanwhile.
  static bool Becomes(const std::function<bool()>& wanted,
                      const std::vector<RawPeer*>& pumped = {}) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (!wanted()) {
      if (absl::Now() > deadline) return false;
      for (RawPeer* peer : pumped) peer->Pump();
      absl::SleepFor(absl::Milliseconds(20));
    }
    return true;
  }
  double Scraped(const std::string& name, const std::string& labels = "") {
    return SumOfMetric(testing::HttpGet(server_->metrics_port()), name, labels);
  }

  const testing::TestModel& model_ = testing::QuickModel();
  std::unique_ptr<ServerProcess> server_;
  std::vector<std::unique_ptr<RawPeer>> peers_;
};

TEST_F(DeadlineTest, AHandshakeThatNeverEnds) {
  const std::string cert = testing::TempPath("cert.pem");
  const std::string key = testing::TempPath("key.pem");
  const testing::Finished made = testing::RunProcess(
      {"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
       "-subj", "/CN=localhost", "-keyout", key, "-out", cert});
  ASSERT_EQ(made.code, 0) << made.err;
  Serve({});
  ServerProcess tls(model_, {"--tls_cert=" + cert, "--tls_key=" + key});
  const double files = FootprintOf(server_.get()).files;
  const std::string hello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  std::vector<RawPeer*> slow;
  for (const auto& [port, text] : std::vector<std::pair<int, std::string>>{
           {server_->port(), ""},
           {server_->port(), preface.substr(0, 10)},
           {server_->port(), preface},  // and never the first frame
           {tls.port(), ""},
           {tls.port(), hello}}) {
    slow.push_back(Connect(port));
    EXPECT_TRUE(text.empty() || slow.back()->Send(text));
  }
  RawPeer* quick = Greeted();
  const auto closed = [&] {
    return AwaitAllClosed(slow, absl::ZeroDuration());
  };
  EXPECT_TRUE(Becomes(closed, {quick}));
  EXPECT_TRUE(quick->Pump());
  quick->Reset();
  EXPECT_TRUE(
      Becomes([&] { return FootprintOf(server_.get()).files <= files; }));
}

TEST_F(DeadlineTest, APeerThatDied) {
  Serve({"--keepalive_seconds=1"});
  RawPeer* dead = Greeted();
  RawPeer* dead_in_a_call = Greeted();
  RawPeer* quiet = Greeted();
  for (RawPeer* peer : {dead_in_a_call, quiet}) {
    EXPECT_TRUE(peer->OpenCall(1, kStream));
    EXPECT_TRUE(peer->SendMessage(1, Message()));
  }
  const auto closed = [&] {
    return AwaitAllClosed({dead, dead_in_a_call}, absl::ZeroDuration(),
                          /*play_dead=*/true);
  };
  EXPECT_TRUE(Becomes(closed, {quiet}));
  // One that is there and has nothing to say keeps its stream.
  EXPECT_TRUE(quiet->Pump());
  EXPECT_TRUE(Becomes(
      [&] { return Scraped("quantserve_calls_in_flight") == 1; }, {quiet}));
}

TEST_F(DeadlineTest, AConnectionThatIsIdle) {
  Serve({"--max_connection_idle_seconds=1"});
  RawPeer* idle = Greeted();
  RawPeer* calling = Greeted();
  EXPECT_TRUE(calling->OpenCall(1, kStream));
  EXPECT_TRUE(Becomes([&] { return !idle->Pump(); }, {calling}));
  EXPECT_TRUE(calling->Pump());
  EXPECT_EQ(calling->goaways(), 0);
}

// A message that is never sent whole by a peer that is there holds no call that
// a service sees: the connection's age is its limit.
TEST_F(DeadlineTest, AMessageThatNeverEnds) {
  Serve({"--max_connection_age_seconds=1"});
  const double files = FootprintOf(server_.get()).files;
  RawPeer* slow = Greeted();
  EXPECT_TRUE(slow->OpenCall(1, kPredict));
  EXPECT_TRUE(slow->SendMessage(1, 3000, "a beginning"));
  EXPECT_TRUE(Becomes([&] { return !slow->Pump(); }));
  EXPECT_GE(slow->goaways(), 1);
  EXPECT_TRUE(
      Becomes([&] { return FootprintOf(server_.get()).files <= files; }));
}

// Such peers answer PINGs and never let a byte of a reply through.
TEST_F(DeadlineTest, AClientThatNeverReads) {
  Serve({"--reply_timeout_seconds=1"});
  RawPeer* peer = Greeted(/*window=*/0);
  EXPECT_TRUE(peer->OpenCall(1, kStream));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(peer->SendMessage(1, Message()));
  EXPECT_TRUE(peer->OpenCall(3, kPredict));
  EXPECT_TRUE(peer->SendMessage(3, Message(), /*last=*/true));
  EXPECT_TRUE(peer->OpenCall(5, kGetStatus));
  EXPECT_TRUE(peer->SendMessage(5, "", /*last=*/true));
  RawPeer* admin = Connect(server_->admin_port());
  EXPECT_TRUE(admin->Greet(/*window=*/0));
  EXPECT_TRUE(admin->OpenCall(1, kQuantize));
  EXPECT_TRUE(admin->SendMessage(1, "", /*last=*/true));
  EXPECT_TRUE(
      Becomes([&] { return peer->resets() == 3 && admin->resets() == 1; },
              {peer, admin}));
  for (const char* rpc :
       {"PredictStream", "Predict", "GetStatus", "Quantize"}) {
    EXPECT_EQ(Scraped("quantserve_abandoned_calls_total",
                      std::string("\"") + rpc + "\""),
              1)
        << rpc;
  }
  EXPECT_TRUE(
      Becomes([&] { return Scraped("quantserve_calls_in_flight") == 0; }));
  // Nothing is held against the connection, and the job's slot is free.
  EXPECT_TRUE(peer->Pump());
  EXPECT_TRUE(Becomes([&] { return Scraped("quantserve_job_running") == 0; }));
  const auto again = server_->NewClient()->Quantize({}, nullptr);
  EXPECT_TRUE(again.ok()) << again.status();
}

// The same one floor lower: windows are wide open, the socket is never read.
TEST_F(DeadlineTest, ASocketThatIsNeverRead) {
  Serve({"--keepalive_seconds=1", "--reply_timeout_seconds=5"});
  const double files = FootprintOf(server_.get()).files;
  RawPeer* peer = Connect(server_->port(), /*receive_buffer=*/4096);
  EXPECT_TRUE(peer->Greet(0x7fffffff));
  EXPECT_TRUE(peer->GrantConnection());
  for (uint32_t stream = 1; stream < 4000; stream += 2) {
    if (!peer->OpenCall(stream, kGetStatus)) break;
    if (!peer->SendMessage(stream, "", /*last=*/true)) break;
  }
  EXPECT_TRUE(
      Becomes([&] { return FootprintOf(server_.get()).files <= files; }));
  EXPECT_TRUE(
      Becomes([&] { return Scraped("quantserve_calls_in_flight") == 0; }));
  EXPECT_TRUE(server_->NewClient()->GetStatus().ok());
}

// Nor does the metrics' port wait for those that ask for nothing.
TEST_F(DeadlineTest, ScrapesThatNeverAsk) {
  Serve({});
  std::vector<RawPeer*> silent;
  for (int i = 0; i < 12; ++i)
    silent.push_back(Connect(server_->metrics_port()));
  EXPECT_TRUE(silent[0]->Send("GET /met"));
  EXPECT_EQ(Scraped("quantserve_ready"), 1);
  EXPECT_TRUE(
      Becomes([&] { return AwaitAllClosed(silent, absl::Seconds(1)); }));
}

}  // namespace
}  // namespace quantserve
