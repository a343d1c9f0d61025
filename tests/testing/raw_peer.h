// A peer that speaks as much HTTP/2 as is needed to misbehave: gRPC's own
// clients are too polite.
//
//   RawPeer peer(port);
//   peer.Greet();
//   peer.OpenCall(1, "/quantserve.v1.InferenceService/Predict");
//   peer.SendMessage(1, 1000, "only this");  // promises a thousand bytes
//   EXPECT_TRUE(AwaitAllClosed({&peer}, absl::Seconds(5)));
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace quantserve::testing {

// One connection to 127.0.0.1. Streams have odd numbers. Not thread-safe.
class RawPeer {
 public:
  // `receive_buffer`: of the kernel, in bytes; 0: as it is.
  explicit RawPeer(int port, int receive_buffer = 0);
  // Closes, if it is not yet closed.
  ~RawPeer();
  RawPeer(RawPeer&& other) noexcept;
  RawPeer& operator=(RawPeer&&) = delete;

  bool open() const { return fd_ >= 0; }
  // Closes so that the other side gets a reset, as a crashed machine sends it.
  void Reset();

  // Whether all was sent. Waits for room at most `patience`.
  bool Send(const std::string& bytes,
            absl::Duration patience = absl::Seconds(10));

  // HTTP/2's preface and first frame. `window`: bytes of each stream that the
  // other side may send before it is granted more, which this never does.
  bool Greet(uint32_t window = 65535);
  // Grants the connection as much as there is.
  bool GrantConnection();
  // The headers of a gRPC call.
  bool OpenCall(uint32_t stream, const std::string& path);
  // One gRPC message on it: `sent` of the `promised` bytes. `last`: no more
  // comes from this side.
  bool SendMessage(uint32_t stream, size_t promised, const std::string& sent,
                   bool last = false);
  bool SendMessage(uint32_t stream, const std::string& whole,
                   bool last = false) {
    return SendMessage(stream, whole.size(), whole, last);
  }

  // Promises a message of `promised` bytes and sends no more of it than the
  // other side's windows have room for now. To be called again, with Pump in
  // between; false once all but its last byte are sent, or nothing can be.
  bool Trickle(uint32_t stream, size_t promised);
  // Resets the stream.
  bool CancelCall(uint32_t stream);

  // Reads what has come and, unless it plays dead, answers PINGs. Never blocks.
  // Whether the connection is still there.
  bool Pump(bool play_dead = false);
  // Waits at most `patience` for the first byte, without reading it.
  bool AwaitByte(absl::Duration patience);
  // Of what was pumped: streams that the other side reset, and its GOAWAYs.
  int resets() const { return resets_; }
  int goaways() const { return goaways_; }

 private:
  bool SendFrame(uint8_t type, uint8_t flags, uint32_t stream,
                 const std::string& payload);
  void Parse(bool play_dead);
  void OnFrame(uint8_t type, uint8_t flags, uint32_t stream,
               const std::string& payload, bool play_dead);

  int fd_ = -1;
  std::string received_;
  // What the other side will take: of all streams, of a new one, and of those
  // that are being trickled into.
  int64_t connection_window_ = 65535;
  int64_t initial_window_ = 65535;
  struct Message {
    int64_t granted = 0;  // by WINDOW_UPDATE
    size_t sent = 0;
  };
  std::map<uint32_t, Message> messages_;
  int resets_ = 0;
  int goaways_ = 0;
};

// Pumps all until none is open: whether that came within `timeout`.
bool AwaitAllClosed(const std::vector<RawPeer*>& peers, absl::Duration timeout,
                    bool play_dead = false);

}  // namespace quantserve::testing
