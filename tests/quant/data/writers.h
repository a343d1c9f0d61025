// Files of every shard format, good and bad, for tests.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/data/readers.h"
#include "quant/tensor/tensor.h"

namespace quantserve {

// A path in the test's own temporary directory.
std::string TempPath(const std::string& name);
// Writes `bytes` to TempPath(name) and returns the path.
std::string WriteTemp(const std::string& name, const std::string& bytes);

// The bytes of `values`, one after the other.
template <typename T>
std::string Raw(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// A .npy file of version 1 with this header text and data.
std::string NpyFile(const std::string& header, const std::string& data);
// The header that NumPy writes, e.g. NpyHeader("<f4", "(2, 3)").
std::string NpyHeader(const std::string& descr, const std::string& shape,
                      const std::string& fortran_order = "False");

using ZipEntries = std::vector<std::pair<std::string, std::string>>;
// A ZIP archive with these entries, deflated or stored.
std::string ZipFile(const ZipEntries& entries, bool deflate = false);

// A pickle of protocol 2, put together from the pieces that torch.save writes.
std::string PickleInt(int64_t value);  // 0 to 2^31 - 1
std::string PickleText(const std::string& text);
std::string PickleInts(const Shape& values);  // a tuple
// A call of torch._utils._rebuild_tensor_v2.
struct PickledTensor {
  std::string storage = "FloatStorage";
  std::string key = "0";
  int64_t storage_elements = 0;
  int64_t offset = 0;
  Shape shape;
  Shape stride;
};
std::string PickleTensor(const PickledTensor& tensor);
// `body` between a pickle's first and last bytes.
std::string PickleFile(const std::string& body);
// What torch.save writes: the pickle and its records "0", "1", …
std::string PtFile(const std::string& pickle,
                   const std::vector<std::string>& records);

// A whole image of this size, a gradient.
std::string JpegFile(int width, int height);
std::string PngFile(int width, int height);

// What the readers make of a file with these bytes. `max_bytes` is the
// options'.
absl::StatusOr<RawShard> ReadCifar10Bytes(const std::string& bytes);
absl::StatusOr<RawShard> ReadNpyBytes(const std::string& bytes);
absl::StatusOr<RawShard> ReadNpzBytes(const std::string& bytes,
                                      int64_t max_bytes);
absl::StatusOr<RawShard> ReadPtBytes(const std::string& bytes,
                                     int64_t max_bytes);

}  // namespace quantserve
