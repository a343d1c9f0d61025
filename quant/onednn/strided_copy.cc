#include "quant/onednn/strided_copy.h"

#include <cstring>

namespace quantserve::onednn {
namespace {

template <typename T>
void CopyStrided(int64_t count, const std::byte* from, int64_t from_stride,
                 std::byte* to, int64_t to_stride) {
  const T* x = reinterpret_cast<const T*>(from);
  T* y = reinterpret_cast<T*>(to);
  for (int64_t i = 0; i < count; ++i) y[i * to_stride] = x[i * from_stride];
}

void CopyDimension(const StridedCopy& copy, size_t d, const std::byte* from,
                   std::byte* to) {
  const int64_t fs = copy.from_strides[d], ts = copy.to_strides[d];
  const int64_t bytes = copy.element_bytes;
  if (d + 1 < copy.counts.size()) {
    for (int64_t i = 0; i < copy.counts[d]; ++i) {
      CopyDimension(copy, d + 1, from + i * fs * bytes, to + i * ts * bytes);
    }
  } else if (fs == 1 && ts == 1) {
    std::memcpy(to, from, copy.counts[d] * bytes);
  } else if (bytes == 4) {
    CopyStrided<uint32_t>(copy.counts[d], from, fs, to, ts);
  } else {
    CopyStrided<uint8_t>(copy.counts[d], from, fs, to, ts);
  }
}

}  // namespace

std::vector<int64_t> RowMajorStrides(const std::vector<int64_t>& dims) {
  std::vector<int64_t> strides(dims.size(), 1);
  for (size_t d = dims.size(); d-- > 1;) strides[d - 1] = strides[d] * dims[d];
  return strides;
}

void StridedCopy::Simplify() {
  for (size_t d = counts.size(); d-- > 1;) {
    const bool joined = from_strides[d - 1] == from_strides[d] * counts[d] &&
                        to_strides[d - 1] == to_strides[d] * counts[d];
    if (!joined && counts[d - 1] != 1) continue;
    counts[d - 1] *= counts[d];
    from_strides[d - 1] = from_strides[d];
    to_strides[d - 1] = to_strides[d];
    counts.erase(counts.begin() + d);
    from_strides.erase(from_strides.begin() + d);
    to_strides.erase(to_strides.begin() + d);
  }
}

void StridedCopy::Run(const std::byte* from, std::byte* to) const {
  CopyDimension(*this, 0, from + from_offset * element_bytes,
                to + to_offset * element_bytes);
}

}  // namespace quantserve::onednn
