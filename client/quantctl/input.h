// What predict and bench send: an image, a sample of a shard, a raw tensor.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/command_line.h"
#include "client/client.h"
#include "quantserve/v1/inference.pb.h"
#include "quantserve/v1/quantization.pb.h"
#include "quantserve/v1/tensor.pb.h"

namespace quantserve {

struct Input {
  std::vector<v1::Tensor> tensors;  // one for each of the model's
  std::optional<int64_t> label;     // of a shard's sample
};

// --image, --shard with --index, --raw with --dtype.
FlagGroup InputFlags();

// The input that the flags name, in the form that the model wants; nothing if
// they name none. A usage error if they name more than one, or a file that
// can't be read or does not fit. Several inputs and integers come from a shard.
absl::StatusOr<std::optional<Input>> ReadInput(const v1::ModelStatus& model);

// One sample of noise, the same each time; of integers 0 and 1, which every
// vocabulary has.
Input RandomInput(const v1::ModelStatus& model);

void AddInputs(const Input& input, v1::PredictRequest* request);

// What the server says of --model, or of the only one that it has. A usage
// error if it has several and the flag names none.
absl::StatusOr<v1::ModelStatus> AskForModel(Client* client);

}  // namespace quantserve
