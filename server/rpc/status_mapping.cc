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
  const absl::string_view message = status.message();
  return {static_cast<grpc::StatusCode>(status.code()),
          std::string(message.data(), message.size())};
}

}  // namespace quantserve
