// Bytes that are read from front to back, so that a file need not fit into
// memory.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace quantserve {

// Not thread-safe.
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  // Bytes that are still to come.
  int64_t remaining() const { return remaining_; }

  // Fills `to`. INVALID_ARGUMENT if fewer bytes remain or they are damaged.
  absl::Status Read(absl::Span<char> to);
  // Goes on by `bytes` >= 0. The same errors.
  absl::Status Skip(int64_t bytes);
  // Skips the rest and verifies what can be verified at the end only.
  virtual absl::Status Finish() { return Skip(remaining_); }

 protected:
  explicit ByteStream(int64_t size) : remaining_(size) {}
  // Never called for more than remaining().
  virtual absl::Status DoRead(absl::Span<char> to) = 0;
  // Reads and drops, unless there is something better.
  virtual absl::Status DoSkip(int64_t bytes);

 private:
  int64_t remaining_;
};

// Bytes in memory.
class MemoryStream : public ByteStream {
 public:
  explicit MemoryStream(std::string bytes);

 private:
  absl::Status DoRead(absl::Span<char> to) override;
  absl::Status DoSkip(int64_t bytes) override;
  const std::string bytes_;
  size_t at_ = 0;
};

}  // namespace quantserve
