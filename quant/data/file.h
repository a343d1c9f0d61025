// Reading files that somebody else wrote.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "quant/data/byte_stream.h"

namespace quantserve {

// The bytes of a regular file; skipping reads nothing.
class FileStream : public ByteStream {
 public:
  // NOT_FOUND if there is no such file; INVALID_ARGUMENT, naming the path, if
  // it is not a regular file; PERMISSION_DENIED if it can't be opened. Never
  // waits for somebody who writes to a pipe.
  static absl::StatusOr<std::unique_ptr<FileStream>> Open(
      const std::string& path);
  ~FileStream() override;
  FileStream(const FileStream&) = delete;
  FileStream& operator=(const FileStream&) = delete;

 private:
  FileStream(std::string path, int file, int64_t size);
  absl::Status DoRead(absl::Span<char> to) override;
  absl::Status DoSkip(int64_t bytes) override;

  const std::string path_;
  const int file_;
  int64_t at_ = 0;
};

// The bytes of the regular file `path`. FileStream::Open's errors, and
// INVALID_ARGUMENT, naming the path, if it is empty or has more than
// `max_bytes`. Thread-safe.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path,
                                          int64_t max_bytes);

// NOT_FOUND if there is no such file.
absl::StatusOr<int64_t> FileBytes(const std::string& path);

}  // namespace quantserve
