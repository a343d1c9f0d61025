#include "server/core/batch_buffers.h"

#include <cstring>

namespace quantserve {
namespace {

int64_t Samples(absl::Span<const InferenceRequest* const> requests) {
  int64_t samples = 0;
  for (const InferenceRequest* request : requests) samples += request->batch;
  return samples;
}

bool UsableAsIs(const InferenceInput& input) {
  return input.dtype == DType::kF32 &&
         reinterpret_cast<uintptr_t>(input.data) % alignof(float) == 0;
}

// Integers of any alignment to the floats that a plan holds them as.
void FloatsFrom(const char* integers, absl::Span<float> out) {
  for (float& value : out) {
    int64_t integer;
    std::memcpy(&integer, integers, sizeof(integer));
    integers += sizeof(integer);
    value = static_cast<float>(integer);
  }
}

void Copy(const InferenceRequest& request, size_t i, const Shape& shape,
          absl::Span<float> out) {
  const InferenceInput& input = request.inputs[i];
  if (input.dtype == DType::kF32) {
    std::memcpy(out.data(), input.data, out.size() * sizeof(float));
  } else if (input.dtype == DType::kI64) {
    FloatsFrom(static_cast<const char*>(input.data), out);
  } else {
    Preprocess(*request.preprocessing, shape,
               {static_cast<const uint8_t*>(input.data), out.size()}, out);
  }
}

}  // namespace

absl::Span<const float* const> BatchBuffers::Pack(
    absl::Span<const InferenceRequest* const> requests) {
  const std::vector<TensorSpec>& specs =
      requests[0]->variant->engine().inputs();
  in_.resize(specs.size());
  in_rows_.resize(specs.size());
  const int64_t samples = Samples(requests);
  for (size_t i = 0; i < specs.size(); ++i) {
    if (requests.size() == 1 && UsableAsIs(requests[0]->inputs[i])) {
      in_[i] = static_cast<const float*>(requests[0]->inputs[i].data);
      continue;
    }
    std::vector<float>& rows = in_rows_[i];
    const auto needed = static_cast<size_t>(samples * specs[i].elements());
    if (rows.size() < needed) rows.resize(needed);
    float* to = rows.data();
    for (const InferenceRequest* request : requests) {
      const auto n = static_cast<size_t>(request->batch * specs[i].elements());
      Copy(*request, i, specs[i].shape, {to, n});
      to += n;
    }
    in_[i] = rows.data();
  }
  return in_;
}

absl::Span<float* const> BatchBuffers::Outputs(
    absl::Span<const InferenceRequest* const> requests) {
  const std::vector<TensorSpec>& specs =
      requests[0]->variant->engine().outputs();
  out_.resize(specs.size());
  out_rows_.resize(specs.size());
  const int64_t samples = Samples(requests);
  for (size_t i = 0; i < specs.size(); ++i) {
    if (requests.size() == 1) {
      out_[i] = requests[0]->outputs[i];
      continue;
    }
    std::vector<float>& rows = out_rows_[i];
    const auto needed = static_cast<size_t>(samples * specs[i].elements());
    if (rows.size() < needed) rows.resize(needed);
    out_[i] = rows.data();
  }
  return out_;
}

void BatchBuffers::Scatter(
    absl::Span<const InferenceRequest* const> requests) const {
  if (requests.size() == 1) return;
  const std::vector<TensorSpec>& specs =
      requests[0]->variant->engine().outputs();
  for (size_t i = 0; i < specs.size(); ++i) {
    const float* from = out_[i];
    for (const InferenceRequest* request : requests) {
      const auto n = static_cast<size_t>(request->batch * specs[i].elements());
      std::memcpy(request->outputs[i], from, n * sizeof(float));
      from += n;
    }
  }
}

}  // namespace quantserve
