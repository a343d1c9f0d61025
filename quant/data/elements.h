// From the bytes of a file to samples and labels; what the array formats share.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "quant/tensor/tensor.h"

namespace quantserve {

// `data` holds the elements of `shape`, each a T, perhaps unaligned. 8-bit
// samples stay so, doubles become floats (infinite if they are too large,
// which Shard::Make refuses). INVALID_ARGUMENT if there is no sample.
template <typename T>
absl::StatusOr<Tensor> CopySamples(const Shape& shape, absl::string_view data) {
  if (shape.empty() || data.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("has samples of shape ", ShapeString(shape),
                     ", expected [N, ...] with at least one sample"));
  }
  if constexpr (std::is_same_v<T, double>) {
    Tensor tensor(DType::kF32, shape);
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      double value;
      std::memcpy(&value, data.data() + i * sizeof(value), sizeof(value));
      // Spelled out, because the conversion itself is undefined there.
      constexpr double kMax = std::numeric_limits<float>::max();
      constexpr float kInf = std::numeric_limits<float>::infinity();
      tensor.data<float>()[i] = value > kMax    ? kInf
                                : value < -kMax ? -kInf
                                                : static_cast<float>(value);
    }
    return tensor;
  } else {
    static_assert(std::is_same_v<T, uint8_t> || std::is_same_v<T, float>);
    Tensor tensor(std::is_same_v<T, float> ? DType::kF32 : DType::kU8, shape);
    std::memcpy(tensor.data<T>(), data.data(), data.size());
    return tensor;
  }
}

// INVALID_ARGUMENT unless `shape` is [N] or [N,1].
inline absl::Status CheckLabelShape(const Shape& shape) {
  if (shape.size() == 1 || (shape.size() == 2 && shape[1] == 1)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("has labels of shape ", ShapeString(shape),
                   ", expected one number for each sample"));
}

// Unsigned 64-bit labels above the signed ones become negative, which
// Shard::Make refuses.
template <typename T>
std::vector<int64_t> CopyLabels(absl::string_view data) {
  std::vector<int64_t> labels(data.size() / sizeof(T));
  for (size_t i = 0; i < labels.size(); ++i) {
    T value;
    std::memcpy(&value, data.data() + i * sizeof(T), sizeof(T));
    // Numbers, not text. NOLINTNEXTLINE(bugprone-signed-char-misuse)
    labels[i] = static_cast<int64_t>(value);
  }
  return labels;
}

}  // namespace quantserve
