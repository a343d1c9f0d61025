// Plain tensors: contiguous, row-major, little-endian, no LibTorch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace quantserve {

enum class DType : uint8_t { kF32, kF64, kU8, kS8, kS32, kI64, kBool };

// Bytes of one element: 1, 4 or 8.
size_t DTypeSize(DType dtype);
// The lower-case name that messages and metrics use: "float32", "uint8", …
const char* DTypeName(DType dtype);

using Shape = std::vector<int64_t>;

// "[1,3,32,32]".
std::string ShapeString(absl::Span<const int64_t> shape);

// The product of the dimensions. INVALID_ARGUMENT if one is negative or the
// product, or its size in bytes at 8 bytes an element, overflows int64.
absl::StatusOr<int64_t> NumElements(absl::Span<const int64_t> shape);

// A movable, 64-byte-aligned, zero-initialised block of elements.
class Tensor {
 public:
  Tensor() = default;
  // `shape` must have been checked with NumElements.
  Tensor(DType dtype, Shape shape);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t elements() const { return elements_; }
  size_t bytes() const { return elements_ * DTypeSize(dtype_); }

  // T must match dtype().
  template <typename T>
  T* data() {
    return reinterpret_cast<T*>(data_.get());
  }
  template <typename T>
  const T* data() const {
    return reinterpret_cast<const T*>(data_.get());
  }
  template <typename T>
  absl::Span<T> span() {
    return {data<T>(), static_cast<size_t>(elements_)};
  }
  template <typename T>
  absl::Span<const T> span() const {
    return {data<T>(), static_cast<size_t>(elements_)};
  }

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  DType dtype_ = DType::kF32;
  Shape shape_;
  int64_t elements_ = 0;
  std::unique_ptr<std::byte[], Free> data_;
};

}  // namespace quantserve
