// Models that requests are decoded for, and requests as text.
#pragma once

#include <string>
#include <vector>

#include "google/protobuf/message.h"
#include "quant/data/preprocessing.h"
#include "quant/engine/engine.h"

namespace quantserve::fuzz {

inline constexpr int64_t kMaxBatch = 4;

struct Model {
  std::vector<TensorSpec> inputs, outputs;
  Preprocessing preprocessing;
};

// One of an image, one of token ids and numbers, one of a single number.
const std::vector<Model>& Models();

// In protobuf's text format; false, and nothing is printed, if it is not that.
bool ParseText(const std::string& text, google::protobuf::Message* message);

}  // namespace quantserve::fuzz
