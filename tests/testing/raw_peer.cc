#include "tests/testing/raw_peer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/time/clock.h"

namespace quantserve::testing {
namespace {

// RFC 9113, section 6.
enum Frame : uint8_t {
  kData = 0,
  kHeaders = 1,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8
};
constexpr uint16_t kInitialWindowSize = 4;
constexpr uint8_t kAck = 1;
constexpr uint8_t kEndStream = 1;
constexpr uint8_t kEndHeaders = 4;
constexpr size_t kFrameHeader = 9;
constexpr size_t kMaxFrame = 16384;

std::string BigEndian(uint64_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) {
    text += static_cast<char>(value >> (8 * i) & 0xff);
  }
  return text;
}

// A header field that goes into no table (RFC 7541, section 6.2.2).
std::string Field(const std::string& name, const std::string& value) {
  return BigEndian(0, 1) + BigEndian(name.size(), 1) + name +
         BigEndian(value.size(), 1) + value;
}

uint32_t Number(const std::string& bytes, size_t at, size_t count) {
  uint32_t value = 0;
  for (size_t i = at; i < at + count; ++i) {
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

}  // namespace

RawPeer::RawPeer(int port, int receive_buffer)
    : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
  if (receive_buffer > 0) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer,
               sizeof(receive_buffer));
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) !=
      0) {
    close(std::exchange(fd_, -1));
    return;
  }
  fcntl(fd_, F_SETFL, O_NONBLOCK);
}

RawPeer::~RawPeer() {
  if (fd_ >= 0) close(fd_);
}

RawPeer::RawPeer(RawPeer&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      received_(std::move(other.received_)),
      connection_window_(other.connection_window_),
      initial_window_(other.initial_window_),
      messages_(std::move(other.messages_)),
      resets_(other.resets_),
      goaways_(other.goaways_) {}

void RawPeer::Reset() {
  if (fd_ < 0) return;
  const linger at_once{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  close(std::exchange(fd_, -1));
}

bool RawPeer::Send(const std::string& bytes, absl::Duration patience) {
  const absl::Time deadline = absl::Now() + patience;
  size_t sent = 0;
  while (fd_ >= 0 && sent < bytes.size()) {
    const ssize_t n =
        send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n > 0) {
      sent += static_cast<size_t>(n);
      continue;
    }
    pollfd room{fd_, POLLOUT, 0};
    if ((errno != EAGAIN && errno != EINTR) || absl::Now() > deadline ||
        poll(&room, 1, Milliseconds(deadline - absl::Now())) <= 0) {
      return false;
    }
  }
  return fd_ >= 0;
}

bool RawPeer::SendFrame(uint8_t type, uint8_t flags, uint32_t stream,
                        const std::string& payload) {
  return Send(BigEndian(payload.size(), 3) + BigEndian(type, 1) +
              BigEndian(flags, 1) + BigEndian(stream, 4) + payload);
}

bool RawPeer::Greet(uint32_t window) {
  return Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") &&
         SendFrame(kSettings, 0, 0,
                   BigEndian(kInitialWindowSize, 2) + BigEndian(window, 4));
}

bool RawPeer::GrantConnection() {
  return SendFrame(kWindowUpdate, 0, 0, BigEndian(0x7fffffff - 65535, 4));
}

bool RawPeer::OpenCall(uint32_t stream, const std::string& path) {
  return SendFrame(kHeaders, kEndHeaders, stream,
                   Field(":method", "POST") + Field(":scheme", "http") +
                       Field(":path", path) + Field(":authority", "test") +
                       Field("te", "trailers") +
                       Field("content-type", "application/grpc"));
}

bool RawPeer::SendMessage(uint32_t stream, size_t promised,
                          const std::string& sent, bool last) {
  const std::string bytes = BigEndian(0, 1) + BigEndian(promised, 4) + sent;
  for (size_t at = 0; at < bytes.size(); at += kMaxFrame) {
    const bool end = last && at + kMaxFrame >= bytes.size();
    if (!SendFrame(kData, end ? kEndStream : 0, stream,
                   bytes.substr(at, kMaxFrame))) {
      return false;
    }
  }
  return true;
}

bool RawPeer::CancelCall(uint32_t stream) {
  constexpr uint32_t kCancel = 8;
  return SendFrame(kRstStream, 0, stream, BigEndian(kCancel, 4));
}

bool RawPeer::Pump(bool play_dead) {
  char buffer[16384];
  while (fd_ >= 0) {
    const ssize_t n = recv(fd_, buffer, sizeof(buffer), 0);
    if (n > 0) {
      received_.append(buffer, static_cast<size_t>(n));
      continue;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) break;
    close(std::exchange(fd_, -1));
  }
  Parse(play_dead);
  return open();
}

void RawPeer::Parse(bool play_dead) {
  size_t at = 0;
  while (received_.size() - at >= kFrameHeader) {
    const size_t length = Number(received_, at, 3);
    if (received_.size() - at < kFrameHeader + length) break;
    OnFrame(static_cast<uint8_t>(received_[at + 3]),
            static_cast<uint8_t>(received_[at + 4]),
            Number(received_, at + 5, 4),
            received_.substr(at + kFrameHeader, length), play_dead);
    at += kFrameHeader + length;
  }
  received_.erase(0, at);
}

void RawPeer::OnFrame(uint8_t type, uint8_t flags, uint32_t stream,
                      const std::string& payload, bool play_dead) {
  const bool answer = (flags & kAck) == 0 && !play_dead;
  switch (type) {
    case kRstStream:
      ++resets_;
      break;
    case kGoAway:
      ++goaways_;
      break;
    case kPing:
      if (answer) SendFrame(kPing, kAck, 0, payload);
      break;
    case kSettings:
      // Each is a number of 16 bits and a value of 32.
      for (size_t i = 0; i + 6 <= payload.size(); i += 6) {
        if (Number(payload, i, 2) != kInitialWindowSize) continue;
        initial_window_ = Number(payload, i + 2, 4);
      }
      if (answer) SendFrame(kSettings, kAck, 0, "");
      break;
    case kWindowUpdate:
      (stream == 0 ? connection_window_ : messages_[stream].granted) +=
          Number(payload, 0, 4);
      break;
    default:
      break;
  }
}

bool RawPeer::Trickle(uint32_t stream, size_t promised) {
  Message& message = messages_[stream];
  const std::string header = BigEndian(0, 1) + BigEndian(promised, 4);
  const size_t whole = header.size() + promised - 1;
  while (message.sent < whole) {
    const int64_t window =
        initial_window_ + message.granted - static_cast<int64_t>(message.sent);
    const int64_t room =
        std::min({window, connection_window_, static_cast<int64_t>(kMaxFrame),
                  static_cast<int64_t>(whole - message.sent)});
    const int64_t least =
        message.sent == 0 ? static_cast<int64_t>(header.size()) : 1;
    if (room < least) return open();
    const auto size = static_cast<size_t>(room);
    const std::string piece =
        message.sent == 0 ? header + std::string(size - header.size(), 'x')
                          : std::string(size, 'x');
    if (!SendFrame(kData, 0, stream, piece)) return false;
    message.sent += size;
    connection_window_ -= room;
  }
  return false;
}

bool RawPeer::AwaitByte(absl::Duration patience) {
  pollfd readable{fd_, POLLIN, 0};
  return fd_ >= 0 && poll(&readable, 1, Milliseconds(patience)) > 0;
}

bool AwaitAllClosed(const std::vector<RawPeer*>& peers, absl::Duration timeout,
                    bool play_dead) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    bool any = false;
    for (RawPeer* peer : peers) any |= peer->Pump(play_dead);
    if (!any) return true;
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(10));
  }
}

}  // namespace quantserve::testing
