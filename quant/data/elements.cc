#include "quant/data/elements.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

namespace quantserve {
namespace {

template <typename To, typename From>
To Convert(From value) {
  // Spelled out, because the conversion itself is undefined there.
  if constexpr (std::is_same_v<From, double>) {
    constexpr double kMax = std::numeric_limits<float>::max();
    constexpr float kInf = std::numeric_limits<float>::infinity();
    return value > kMax    ? kInf
           : value < -kMax ? -kInf
                           : static_cast<float>(value);
  } else if constexpr (std::is_same_v<From, uint64_t>) {
    constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
    return static_cast<int64_t>(std::min(value, kMax));
  } else {
    // Numbers, not text. NOLINTNEXTLINE(bugprone-signed-char-misuse)
    return static_cast<To>(value);
  }
}

template <typename From, typename To>
void ConvertAll(absl::string_view bytes, To* to) {
  for (size_t i = 0; i < bytes.size() / sizeof(From); ++i) {
    From value;
    std::memcpy(&value, bytes.data() + i * sizeof(From), sizeof(From));
    to[i] = Convert<To>(value);
  }
}

void ConvertIntegers(ElementType type, absl::string_view bytes, int64_t* to) {
  const bool is_signed = type.kind == 'i';
  switch (type.width) {
    case 1:
      return is_signed ? ConvertAll<int8_t>(bytes, to)
                       : ConvertAll<uint8_t>(bytes, to);
    case 2:
      return is_signed ? ConvertAll<int16_t>(bytes, to)
                       : ConvertAll<uint16_t>(bytes, to);
    case 4:
      return is_signed ? ConvertAll<int32_t>(bytes, to)
                       : ConvertAll<uint32_t>(bytes, to);
    default:
      return is_signed ? ConvertAll<int64_t>(bytes, to)
                       : ConvertAll<uint64_t>(bytes, to);
  }
}

}  // namespace

bool SampleDType(ElementType type, DType* dtype) {
  if (type.kind == 'f') {
    *dtype = DType::kF32;
  } else if (type.kind == 'u' && type.width == 1) {
    *dtype = DType::kU8;
  } else if (type.kind == 'u' || type.kind == 'i') {
    *dtype = DType::kI64;
  } else {
    return false;
  }
  return true;
}

void StoreElements(ElementType type, absl::string_view bytes, int64_t first,
                   Tensor* to) {
  switch (to->dtype()) {
    case DType::kU8:
      std::memcpy(to->data<uint8_t>() + first, bytes.data(), bytes.size());
      return;
    case DType::kF32:
      return type.width == 8
                 ? ConvertAll<double>(bytes, to->data<float>() + first)
                 : ConvertAll<float>(bytes, to->data<float>() + first);
    default:
      return ConvertIntegers(type, bytes, to->data<int64_t>() + first);
  }
}

void AppendLabels(ElementType type, absl::string_view bytes,
                  std::vector<int64_t>* labels) {
  const size_t first = labels->size();
  labels->resize(first + bytes.size() / type.width);
  ConvertIntegers(type, bytes, labels->data() + first);
}

}  // namespace quantserve
