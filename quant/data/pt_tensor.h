// One tensor of a file that torch.save wrote.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "quant/data/arrays.h"
#include "quant/data/pickle.h"
#include "quant/data/zip_archive.h"

namespace quantserve {

// Finds the tensor that `value` describes in its record in `archive`, under
// `folder`. A tensor that is not in row-major order is brought into it, in
// memory. INVALID_ARGUMENT if it is no dense tensor of 8- to 64-bit integers,
// float32 or float64, if an element lies outside its record, if it would need
// more than the options' max_bytes, or, out of order, than max_sample_bytes.
absl::StatusOr<StoredArray> OpenPtTensor(const PickleValue& value,
                                         const std::string& folder,
                                         const ReadShardOptions& options,
                                         ZipArchive* archive);

}  // namespace quantserve
