// Samples in NumPy's files, as requests carry them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quantserve/v1/tensor.pb.h"

namespace quantserve {

// Sample `index` of an array [N, ...]: its own shape and elements.
struct NpySample {
  v1::DataType dtype = v1::DATA_TYPE_UNSPECIFIED;  // FP32, UINT8 or INT64
  std::vector<int64_t> shape;
  std::string data;
};

// Whether `path` ends in .npy or .npz.
bool IsNumPyFile(const std::string& path);

// One for each input, in the model's order: of an .npy file the only one, of an
// .npz file "input_0", "input_1" and so on, or else the first of "x", "images",
// "inputs" and "data" that is there. Floating point becomes FP32, |u1 UINT8 and
// other integers INT64. Only the sample is kept in memory. INVALID_ARGUMENT, in
// one line that names the file and what was expected, for anything that is not
// such an array in C order or has no such sample; NOT_FOUND if there is no
// file.
absl::StatusOr<std::vector<NpySample>> ReadNumPyFile(const std::string& path,
                                                     int64_t index);

}  // namespace quantserve
