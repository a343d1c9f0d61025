#include "quant/data/preprocessing.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

// Far beyond any sensible value, and close enough that no quotient leaves the
// range of a float.
constexpr double kLargest = 1e9;
constexpr double kSmallestStd = 1e-9;

bool Sensible(double value) { return std::abs(value) <= kLargest; }

absl::Status CheckList(const char* name, const std::vector<double>& values,
                       int64_t channels) {
  if (values.size() > 1 && static_cast<int64_t>(values.size()) != channels) {
    return absl::InvalidArgumentError(
        absl::StrCat("preprocessing ", name, " has ", values.size(),
                     " values, expected none, 1 or ", channels));
  }
  for (double value : values) {
    if (!Sensible(value)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "preprocessing ", name, " has the value ", value,
          ", expected numbers from -", kLargest, " to ", kLargest));
    }
  }
  return absl::OkStatus();
}

double ForChannel(const std::vector<double>& values, int64_t channel,
                  double otherwise) {
  if (values.empty()) return otherwise;
  return values[values.size() == 1 ? 0 : channel];
}

}  // namespace

absl::Status Preprocessing::Validate(int64_t channels) const {
  if (!Sensible(scale)) {
    return absl::InvalidArgumentError(
        absl::StrCat("preprocessing scale is ", scale,
                     ", expected a number from -", kLargest, " to ", kLargest));
  }
  for (const auto& [name, values] : {std::pair{"mean", &mean}, {"std", &std}}) {
    QS_RETURN_IF_ERROR(CheckList(name, *values, channels));
  }
  for (double value : std) {
    if (value < kSmallestStd) {
      return absl::InvalidArgumentError(absl::StrCat(
          "preprocessing std has the value ", value, ", expected numbers from ",
          kSmallestStd, " to ", kLargest));
    }
  }
  return absl::OkStatus();
}

void Preprocess(const Preprocessing& preprocessing,
                absl::Span<const int64_t> sample_shape,
                absl::Span<const uint8_t> raw, absl::Span<float> out) {
  int64_t sample = 1;
  for (int64_t dim : sample_shape) sample *= dim;
  if (sample == 0) return;
  const int64_t channels = sample_shape.empty() ? 1 : sample_shape[0];
  const int64_t plane = sample / channels;
  const int64_t planes = static_cast<int64_t>(raw.size()) / plane;
  // In floats and in this order, as PyTorch's users write it: the last bit can
  // move a pixel to the next 8-bit step.
  const float scale = static_cast<float>(preprocessing.scale);
  for (int64_t p = 0; p < planes; ++p) {
    const int64_t c = p % channels;
    const float mean = static_cast<float>(ForChannel(preprocessing.mean, c, 0));
    const float std = static_cast<float>(ForChannel(preprocessing.std, c, 1));
    const uint8_t* const from = raw.data() + p * plane;
    float* const to = out.data() + p * plane;
    for (int64_t i = 0; i < plane; ++i) {
      to[i] = (static_cast<float>(from[i]) * scale - mean) / std;
    }
  }
}

}  // namespace quantserve
