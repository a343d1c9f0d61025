// Elements of the array formats, and how they become samples and labels.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "quant/tensor/tensor.h"

namespace quantserve {

// Little-endian numbers as NumPy names them: u1, i8, f4 …
struct ElementType {
  char kind = 0;  // 'u', 'i', 'f', 'b'
  int width = 0;  // bytes
};

// What samples of this type become: 8-bit ones stay (kU8), floats are kF32,
// other integers kI64. False for what can't be a sample.
bool SampleDType(ElementType type, DType* dtype);

// Converts whole elements, perhaps unaligned, and puts them into `to` from
// element `first` on. Doubles too large for a float become infinite and
// unsigned 64-bit numbers too large for int64 its largest, which Shard::Make
// refuses. `to` has the dtype that SampleDType says.
void StoreElements(ElementType type, absl::string_view bytes, int64_t first,
                   Tensor* to);

// Appends integers of any width, by the same rules.
void AppendLabels(ElementType type, absl::string_view bytes,
                  std::vector<int64_t>* labels);

}  // namespace quantserve
