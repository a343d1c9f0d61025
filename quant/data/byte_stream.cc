#include "quant/data/byte_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

absl::Status TooShort(int64_t wanted, int64_t remaining) {
  return absl::InvalidArgumentError(absl::StrCat(
      "ends too early: ", remaining, " bytes remain, expected ", wanted));
}

}  // namespace

absl::Status ByteStream::Read(absl::Span<char> to) {
  const int64_t wanted = static_cast<int64_t>(to.size());
  if (wanted > remaining_) return TooShort(wanted, remaining_);
  QS_RETURN_IF_ERROR(DoRead(to));
  remaining_ -= wanted;
  return absl::OkStatus();
}

absl::Status ByteStream::Skip(int64_t bytes) {
  if (bytes < 0 || bytes > remaining_) return TooShort(bytes, remaining_);
  if (bytes == 0) return absl::OkStatus();
  QS_RETURN_IF_ERROR(DoSkip(bytes));
  remaining_ -= bytes;
  return absl::OkStatus();
}

absl::Status ByteStream::DoSkip(int64_t bytes) {
  constexpr int64_t kPiece = 1 << 16;
  std::string dropped(std::min(bytes, kPiece), '\0');
  for (int64_t done = 0; done < bytes; done += kPiece) {
    QS_RETURN_IF_ERROR(
        DoRead(absl::MakeSpan(dropped).first(std::min(kPiece, bytes - done))));
  }
  return absl::OkStatus();
}

MemoryStream::MemoryStream(std::string bytes)
    : ByteStream(static_cast<int64_t>(bytes.size())),
      bytes_(std::move(bytes)) {}

absl::Status MemoryStream::DoRead(absl::Span<char> to) {
  if (!to.empty()) std::memcpy(to.data(), bytes_.data() + at_, to.size());
  at_ += to.size();
  return absl::OkStatus();
}

absl::Status MemoryStream::DoSkip(int64_t bytes) {
  at_ += bytes;
  return absl::OkStatus();
}

}  // namespace quantserve
