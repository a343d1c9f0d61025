// What a model takes, as people write it: "3,32,32", or "i64:16;3,32,32" for
// token ids and a picture.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "quant/tensor/tensor.h"

namespace quantserve {

// One input, without the batch.
struct InputSpec {
  Shape shape;
  // Whole numbers (token ids): LibTorch gets them as int64, everything else
  // holds them as floats, which is exact up to 2^24.
  bool integers = false;

  friend bool operator==(const InputSpec& a, const InputSpec& b) {
    return a.shape == b.shape && a.integers == b.integers;
  }
};

// Shapes joined by ";", each with "i64:" before it for integers.
// INVALID_ARGUMENT for anything else, for a dimension below 1, and for more
// than 64 inputs or 16 dimensions.
absl::StatusOr<std::vector<InputSpec>> ParseInputSpecs(absl::string_view text);
std::string InputSpecsString(const std::vector<InputSpec>& specs);

}  // namespace quantserve
