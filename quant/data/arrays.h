// Shards whose inputs and labels are arrays somewhere in a file: what the .npy,
// .npz and .pt readers share once they have found the arrays.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "quant/data/byte_stream.h"
#include "quant/data/draw.h"
#include "quant/data/elements.h"
#include "quant/data/readers.h"

namespace quantserve {

// An array in row-major order whose elements have not been read yet.
struct StoredArray {
  std::string name;       // of the input
  std::string where;      // put in front of messages: "entry \"x\" " or nothing
  std::string type_name;  // for messages: "of type i4"
  ElementType type;
  Shape shape;
  int64_t elements = 0;
  // Stands on the first element; the rest of them follow.
  std::unique_ptr<ByteStream> stream;
  int64_t bytes_in_memory = 0;  // that the stream holds
};

// Draws samples, the same ones from every array, and reads them. INVALID_
// ARGUMENT for an array that can't be samples or labels, a shape without
// samples, and arrays of different length. `labels` may be null.
absl::StatusOr<RawShard> ReadArrays(const std::vector<StoredArray>& inputs,
                                    const StoredArray* labels,
                                    const ReadShardOptions& options);

// Passes the drawn rows, each of `row_bytes` >= 1, to `sink` in order, in
// pieces of whole rows, or of a multiple of 8 bytes where a row is larger than
// 1 MiB. Returns its first error, the stream's, or CANCELLED.
absl::Status ReadRows(
    ByteStream* stream, int64_t row_bytes, const DrawnSamples& drawn,
    const JobControl& control,
    const std::function<absl::Status(absl::string_view)>& sink);

// As many as a model may be said to have (quant/tensor/input_spec.h).
inline constexpr int64_t kMaxInputs = 64;

// Which keys of a file are the inputs, and which one is the labels, in the
// order that shard.h gives; empty if there is none.
struct ShardKeys {
  std::vector<std::string> inputs;
  std::string labels;
};
// INVALID_ARGUMENT if there is an input_N but not all of those before it, or
// more of them than kMaxInputs.
absl::StatusOr<ShardKeys> FindShardKeys(const std::vector<std::string>& names);
// For messages about files without samples.
inline constexpr char kSampleKeys[] =
    "samples under x, images, inputs, data or x_*, or several inputs under "
    "input_0, input_1 and so on";

}  // namespace quantserve
