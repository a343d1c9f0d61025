#include "quant/tensor/tensor.h"

#include <cstring>
#include <limits>
#include <new>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace quantserve {
namespace {
constexpr std::align_val_t kAlignment{64};
}  // namespace

size_t DTypeSize(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kS32:
      return 4;
    case DType::kF64:
    case DType::kI64:
      return 8;
    case DType::kU8:
    case DType::kS8:
    case DType::kBool:
      return 1;
  }
  return 1;
}

const char* DTypeName(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "float32";
    case DType::kF64:
      return "float64";
    case DType::kU8:
      return "uint8";
    case DType::kS8:
      return "int8";
    case DType::kS32:
      return "int32";
    case DType::kI64:
      return "int64";
    case DType::kBool:
      return "bool";
  }
  return "unknown";
}

std::string ShapeString(absl::Span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ","), "]");
}

absl::StatusOr<int64_t> NumElements(absl::Span<const int64_t> shape) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max() / 8;
  int64_t product = 1;
  for (int64_t dim : shape) {
    if (dim < 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "shape ", ShapeString(shape), " has a negative dimension"));
    }
    // Dividing first also catches [2^62, 0]: no zero hides an overflow.
    if (dim > 0 && product > kMax / dim) {
      return absl::InvalidArgumentError(
          absl::StrCat("shape ", ShapeString(shape), " has too many elements"));
    }
    product *= dim == 0 ? 1 : dim;
  }
  for (int64_t dim : shape) {
    if (dim == 0) return 0;
  }
  return product;
}

Tensor::Tensor(DType dtype, Shape shape)
    : dtype_(dtype), shape_(std::move(shape)) {
  elements_ = 1;
  for (int64_t dim : shape_) elements_ *= dim;
  const size_t size = bytes();
  if (size == 0) return;
  data_.reset(static_cast<std::byte*>(::operator new[](size, kAlignment)));
  std::memset(data_.get(), 0, size);
}

void Tensor::Free::operator()(std::byte* p) const {
  ::operator delete[](p, kAlignment);
}

}  // namespace quantserve
