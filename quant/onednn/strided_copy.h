// Copies between boxes inside larger row-major blocks: what slicing, padding
// and concatenation come down to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace quantserve::onednn {

// `counts` elements per dimension; offsets and strides in elements.
struct StridedCopy {
  std::vector<int64_t> counts;
  std::vector<int64_t> from_strides, to_strides;
  int64_t from_offset = 0, to_offset = 0;
  int64_t element_bytes = 1;

  // Joins dimensions that are contiguous on both sides, so that Run copies in
  // runs as long as can be.
  void Simplify();
  // Allocates nothing.
  void Run(const std::byte* from, std::byte* to) const;
};

// Strides of a row-major block.
std::vector<int64_t> RowMajorStrides(const std::vector<int64_t>& dims);

}  // namespace quantserve::onednn
