// The .npy format: one array with a text header.
//
//   "\x93NUMPY", major, minor, header length (2 bytes, 4 from version 2 on),
//   "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }", data
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "quant/data/readers.h"
#include "quant/tensor/tensor.h"

namespace quantserve {

// An array inside somebody else's bytes, which must outlive it.
struct NpyArray {
  char kind = 0;  // 'u', 'i', 'f', 'b'
  int width = 0;  // bytes of one element
  Shape shape;
  int64_t elements = 0;
  absl::string_view data;  // elements * width bytes
};

// INVALID_ARGUMENT unless `bytes` is a whole .npy file of little-endian
// numbers in C order, no byte more or less.
absl::StatusOr<NpyArray> ParseNpy(absl::string_view bytes);

// kU8 or kF32 (from f4 or f8), at least one dimension.
absl::StatusOr<Tensor> NpySamples(const NpyArray& array);
// One dimension (or [N,1]) of integers.
absl::StatusOr<std::vector<int64_t>> NpyLabels(const NpyArray& array);

}  // namespace quantserve
