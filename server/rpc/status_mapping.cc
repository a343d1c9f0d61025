#include "server/rpc/status_mapping.h"

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "spdlog/spdlog.h"

namespace quantserve {
namespace {

bool IsOurFault(absl::StatusCode code) {
  return code == absl::StatusCode::kInternal ||
         code == absl::StatusCode::kUnknown ||
         code == absl::StatusCode::kDataLoss;
}

// A name that a message repeats may be as long as a message may be, and a
// status travels in headers. Never ends within a character.
std::string Shortened(absl::string_view message) {
  constexpr size_t kMost = 2048;
  if (message.size() <= kMost) {
    return {message.data(), message.size()};
  }
  size_t end = kMost;
  while (end > 0 && (message[end] & 0xc0) == 0x80) --end;
  return absl::StrCat(message.substr(0, end), "...");
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  if (IsOurFault(status.code())) {
    static std::atomic<int64_t> next{1};
    const int64_t number = next.fetch_add(1, std::memory_order_relaxed);
    spdlog::error("internal error {}: {}", number, status.ToString());
    return {grpc::StatusCode::INTERNAL,
            absl::StrCat("internal error ", number, ", see the server's log")};
  }
  return {static_cast<grpc::StatusCode>(status.code()),
          Shortened(status.message())};
}

}  // namespace quantserve
