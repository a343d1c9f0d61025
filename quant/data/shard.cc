#include "quant/data/shard.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/sha256.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

// The first sample with a value that `bad` is true for.
template <typename T, typename Bad>
absl::Status CheckValues(const ShardInput& input, const DrawnSamples& drawn,
                         const char* expected, Bad bad) {
  const absl::Span<const T> values = input.samples.span<T>();
  const auto found = std::find_if(values.begin(), values.end(), bad);
  if (found == values.end()) return absl::OkStatus();
  const int64_t in_sample = input.samples.elements() / input.samples.shape()[0];
  const int64_t sample = (found - values.begin()) / in_sample;
  return absl::InvalidArgumentError(absl::StrCat(
      "sample ", drawn[sample], " holds the value ", *found, expected));
}

absl::Status CheckInput(const ShardInput& input, const DrawnSamples& drawn) {
  const Shape& shape = input.samples.shape();
  if (shape.empty() || input.samples.elements() <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("has samples of shape ", ShapeString(shape),
                     ", expected [N, ...] with at least one sample"));
  }
  if (shape[0] != drawn.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", shape[0], " samples of ", input.name,
                     ", expected ", drawn.size(), " as of the first input"));
  }
  switch (input.samples.dtype()) {
    case DType::kU8:
      return absl::OkStatus();
    case DType::kF32:
      return CheckValues<float>(input, drawn, ", expected finite numbers",
                                [](float v) { return !std::isfinite(v); });
    case DType::kI64:
      return CheckValues<int64_t>(
          input, drawn, ", expected integers from -16777216 to 16777216",
          [](int64_t v) { return v < -(1 << 24) || v > (1 << 24); });
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("has samples of type ", DTypeName(input.samples.dtype()),
                       ", expected uint8, float32 or int64"));
  }
}

absl::Status CheckLabels(absl::Span<const int64_t> labels,
                         const DrawnSamples& drawn) {
  if (labels.empty()) return absl::OkStatus();
  if (static_cast<int64_t>(labels.size()) != drawn.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has ", labels.size(), " labels for ", drawn.size(), " samples"));
  }
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("sample ", drawn[static_cast<int64_t>(i)],
                       " has the label ", labels[i], ", expected 0 or more"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Shard> Shard::Make(std::string name,
                                  std::vector<ShardInput> inputs,
                                  std::vector<int64_t> labels,
                                  DrawnSamples drawn) {
  if (inputs.empty()) {
    return absl::InvalidArgumentError("has no inputs, expected at least one");
  }
  const Shape& first = inputs[0].samples.shape();
  if (drawn.population() == 0 && !first.empty()) {
    drawn = DrawnSamples(first[0]);
  }
  Shard shard;
  for (const ShardInput& input : inputs) {
    QS_RETURN_IF_ERROR(CheckInput(input, drawn));
    const Shape& shape = input.samples.shape();
    shard.sample_shapes_.emplace_back(shape.begin() + 1, shape.end());
  }
  QS_RETURN_IF_ERROR(CheckLabels(labels, drawn));
  shard.name_ = std::move(name);
  shard.inputs_ = std::move(inputs);
  shard.labels_ = std::move(labels);
  shard.drawn_ = std::move(drawn);
  return shard;
}

absl::StatusOr<Shard> Shard::Make(std::string name, Tensor samples,
                                  std::vector<int64_t> labels) {
  std::vector<ShardInput> inputs(1);
  inputs[0] = {kOnlyInput, std::move(samples)};
  return Make(std::move(name), std::move(inputs), std::move(labels));
}

std::vector<InputSpec> Shard::input_specs() const {
  std::vector<InputSpec> specs;
  for (size_t i = 0; i < num_inputs(); ++i) {
    specs.push_back({sample_shape(i), dtype(i) == DType::kI64});
  }
  return specs;
}

const std::string& Shard::sha256() const {
  std::call_once(digest_->once, [this] {
    Sha256Hasher hasher;
    for (const ShardInput& input : inputs_) {
      const Tensor& samples = input.samples;
      hasher.Add(absl::StrCat(input.name.size(), " ", input.name, " ",
                              DTypeName(samples.dtype()),
                              ShapeString(samples.shape()), "\n"));
      hasher.Add({samples.data<char>(), samples.bytes()});
    }
    hasher.Add(absl::StrCat(labels_.size(), " labels\n"));
    hasher.Add({reinterpret_cast<const char*>(labels_.data()),
                labels_.size() * sizeof(labels_[0])});
    digest_->hex = hasher.Finish();
  });
  return digest_->hex;
}

void Shard::Copy(size_t input, int64_t first, int64_t count,
                 const Preprocessing& preprocessing,
                 absl::Span<float> out) const {
  const Tensor& from = samples(input);
  const size_t begin = first * sample_elements(input);
  const size_t length = count * sample_elements(input);
  switch (from.dtype()) {
    case DType::kU8:
      return Preprocess(preprocessing, sample_shape(input),
                        from.span<uint8_t>().subspan(begin, length), out);
    case DType::kI64:
      for (size_t i = 0; i < length; ++i) {
        out[i] = static_cast<float>(from.data<int64_t>()[begin + i]);
      }
      return;
    default:
      std::copy_n(from.data<float>() + begin, length, out.begin());
  }
}

}  // namespace quantserve
