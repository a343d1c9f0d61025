// One tensor of a file that torch.save wrote.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "quant/data/pickle.h"
#include "quant/data/zip_archive.h"
#include "quant/tensor/tensor.h"

namespace quantserve {

// A tensor whose bytes were brought into row-major order.
struct PtTensor {
  std::string storage;  // "torch FloatStorage", …
  Shape shape;
  std::string data;
};

// Reads the tensor that `value` describes from its record in `archive`, under
// `folder`. INVALID_ARGUMENT if it is no dense tensor of 8- to 64-bit integers,
// float32 or float64, if an element lies outside its record, or if it would
// need more than `max_bytes`.
absl::StatusOr<PtTensor> ReadPtTensor(const PickleValue& value,
                                      const std::string& folder,
                                      int64_t max_bytes, ZipArchive* archive);

}  // namespace quantserve
