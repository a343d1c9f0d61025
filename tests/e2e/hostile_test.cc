// Peers that mean no good, or die: the server serves on and gives back what
// they took. How long each may keep it waiting is in deadline_test.cc.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/footprint.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/raw_peer.h"

namespace quantserve {
namespace {

using testing::ExpectNothingLeft;
using testing::FootprintOf;
using testing::Process;
using testing::RawPeer;
using testing::ServerProcess;

constexpr char kPredict[] = "/quantserve.v1.InferenceService/Predict";
constexpr char kStream[] = "/quantserve.v1.InferenceService/PredictStream";

class HostileTest : public ::testing::Test {
 protected:
  HostileTest() { server_.AwaitReady(); }

  std::string Message() const {
    v1::PredictRequest request;
    *request.add_inputs() = testing::ReadSamples(model_.test, 0, 1);
    return request.SerializeAsString();
  }
  void ExpectNothingLeftOf(const std::function<void()>& attack) {
    ExpectNothingLeft(&server_, model_, attack);
  }
  int port() const { return server_.port(); }

  const testing::TestModel& model_ = testing::QuickModel();
  ServerProcess server_{model_};
};

// Ten thousand connections, some hundreds at a time: each says hello, hears the
// server's, idles while the others come, and goes, politely or not.
TEST_F(HostileTest, TenThousandIdleChannels) {
  ExpectNothingLeftOf([this] {
    std::deque<RawPeer> idle;
    for (int i = 0; i < 5000 * testing::SoakFactor(); ++i) {
      RawPeer& peer = idle.emplace_back(port());
      ASSERT_TRUE(peer.open() && peer.Greet()) << i;
      ASSERT_TRUE(peer.AwaitByte(absl::Seconds(20))) << i;
      if (idle.size() < 200) continue;
      if (i % 2 == 0) idle.front().Reset();
      idle.pop_front();
    }
  });
}

TEST_F(HostileTest, HalfSentMessages) {
  const std::string message = Message();
  ExpectNothingLeftOf([&] {
    for (int i = 0; i < 200; ++i) {
      RawPeer peer(port());
      ASSERT_TRUE(peer.Greet());
      for (uint32_t stream = 1; stream < 16; stream += 2) {
        const bool streaming = stream % 4 == 1;
        ASSERT_TRUE(peer.OpenCall(stream, streaming ? kStream : kPredict));
        // Whole ones first, where there may be several.
        ASSERT_TRUE(!streaming || peer.SendMessage(stream, message));
        ASSERT_TRUE(
            peer.SendMessage(stream, message.size(), message.substr(0, 1000)));
      }
      if (i % 2 == 0) peer.Reset();
    }
  });
}

// Half a gigabyte in messages that are never sent whole, by peers that keep to
// the protocol. gRPC counts what it reads and not what it puts together of
// that, so that the quota is kept roughly; without one all of it would be
// taken.
TEST(MemoryQuotaTest, HalfSentMessagesTakeWhatTheyAreGivenAndNoMore) {
  const testing::TestModel& model = testing::QuickModel();
  ServerProcess server(model, {"--receive_buffer_bytes=16777216"});
  server.AwaitReady();
  const double before = FootprintOf(&server).bytes;
  double most = 0;
  ExpectNothingLeft(&server, model, [&] {
    std::vector<std::unique_ptr<RawPeer>> peers;
    for (int i = 0; i < 8; ++i) {
      peers.push_back(std::make_unique<RawPeer>(server.port()));
      peers.back()->Greet();
      for (uint32_t stream = 1; stream < 32; stream += 2) {
        peers.back()->OpenCall(stream, kPredict);
      }
    }
    // Until nothing more is taken.
    const absl::Time deadline = absl::Now() + absl::Seconds(4);
    while (absl::Now() < deadline) {
      for (const auto& peer : peers) {
        peer->Pump();
        for (uint32_t stream = 1; stream < 32; stream += 2) {
          peer->Trickle(stream, 4 << 20);
        }
      }
      most = std::max(most, FootprintOf(&server).bytes);
    }
  });
  std::printf("%.1f MB at first, %.1f MB at most\n", before / 1e6, most / 1e6);
  EXPECT_GT(most, before + 1e6);
  EXPECT_LT(most, before + 256e6);
}

// The sender ends where the message does not.
TEST_F(HostileTest, MessagesThatEndTooSoon) {
  ExpectNothingLeftOf([this] {
    RawPeer peer(port());
    ASSERT_TRUE(peer.Greet());
    for (uint32_t stream = 1; stream < 400; stream += 2) {
      ASSERT_TRUE(peer.OpenCall(stream, stream % 4 == 1 ? kStream : kPredict));
      ASSERT_TRUE(peer.SendMessage(stream, 1000, "too soon", /*last=*/true));
      peer.Pump();
    }
    // No message at all.
    ASSERT_TRUE(peer.OpenCall(401, kPredict));
    // 4 GiB, where a number is signed somewhere.
    ASSERT_TRUE(peer.SendMessage(401, 0xffffffff, "x"));
    absl::SleepFor(absl::Milliseconds(200));
    peer.Pump();
  });
}

TEST_F(HostileTest, GarbageInsteadOfHttp2) {
  std::mt19937 random(1);
  ExpectNothingLeftOf([&] {
    std::vector<std::unique_ptr<RawPeer>> peers;
    std::vector<RawPeer*> all;
    for (int i = 0; i < 200; ++i) {
      peers.push_back(std::make_unique<RawPeer>(port()));
      RawPeer* peer = peers.back().get();
      all.push_back(peer);
      std::string noise;
      for (int n = 0; n < 300; ++n) noise += static_cast<char>(random());
      switch (i % 4) {
        case 0:
          peer->Send(noise);
          break;
        case 1:
          peer->Send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
          break;
        case 2:
          peer->Send(std::string("\x16\x03\x01\x02\x00\x01", 6) + noise);
          break;
        default:  // frames that are none
          peer->Greet();
          peer->Send(noise);
      }
    }
    // Each is shown the door, nobody has to wait for a limit.
    EXPECT_TRUE(AwaitAllClosed(all, absl::Seconds(60)));
  });
}

// Streams opened and reset as fast as they can be (CVE-2023-44487).
TEST_F(HostileTest, RapidResets) {
  const std::string message = Message();
  ExpectNothingLeftOf([&] {
    RawPeer peer(port());
    ASSERT_TRUE(peer.Greet());
    for (uint32_t stream = 1; stream < 8000 && peer.Pump(); stream += 2) {
      const bool streaming = stream % 4 == 1;
      if (!peer.OpenCall(stream, streaming ? kStream : kPredict)) break;
      if (stream % 8 == 1) peer.SendMessage(stream, 100, "half");
      if (!peer.CancelCall(stream)) break;
    }
  });
}

// Real clients, in the middle of streams that carry as much as they can.
TEST_F(HostileTest, AHundredClientsKilledMidStream) {
  const std::string program =
      absl::StrCat(QUANTSERVE_BIN_DIR, "/stream_client");
  ExpectNothingLeftOf([&] {
    for (int round = 0; round < 10 * testing::SoakFactor(); ++round) {
      std::vector<std::unique_ptr<Process>> clients;
      for (int i = 0; i < 5; ++i) {
        clients.push_back(std::make_unique<Process>(
            std::vector<std::string>{program, server_.target(), model_.test}));
      }
      const absl::Time deadline = absl::Now() + absl::Minutes(1);
      for (const auto& client : clients) {
        while (!absl::StrContains(client->out(), "going") &&
               absl::Now() < deadline) {
          absl::SleepFor(absl::Milliseconds(2));
        }
        EXPECT_THAT(client->out(), ::testing::HasSubstr("going"));
        EXPECT_TRUE(client->running()) << client->err();
        client->Signal(SIGKILL);
        client->Wait(absl::Seconds(10));
      }
    }
  });
}

}  // namespace
}  // namespace quantserve
