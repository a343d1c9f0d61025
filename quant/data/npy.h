// The .npy format: one array with a text header.
//
//   "\x93NUMPY", major, minor, header length (2 bytes, 4 from version 2 on),
//   "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }", data
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "quant/data/arrays.h"
#include "quant/data/byte_stream.h"

namespace quantserve {

// Reads the header of a .npy file. INVALID_ARGUMENT unless `stream` is a whole
// file of little-endian numbers in C order, no byte more or less.
absl::StatusOr<StoredArray> OpenNpy(std::unique_ptr<ByteStream> stream);

}  // namespace quantserve
