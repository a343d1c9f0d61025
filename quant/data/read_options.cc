#include "quant/data/read_options.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

constexpr int64_t kMaxSide = 16384;
// Its sums stay far from overflowing.
constexpr int64_t kMaxLimit = int64_t{1} << 62;

absl::Status Check(const char* name, int64_t value, int64_t from, int64_t to) {
  if (value >= from && value <= to) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", value, ", expected ", from, " to ", to));
}

}  // namespace

absl::StatusOr<Interpolation> ParseInterpolation(absl::string_view name) {
  if (name == "bilinear") return Interpolation::kBilinear;
  if (name == "bicubic") return Interpolation::kBicubic;
  return absl::InvalidArgumentError(absl::StrCat(
      "interpolation is \"", name, "\", want bilinear or bicubic"));
}

absl::Status ImageOptions::Validate() const {
  QS_RETURN_IF_ERROR(Check("resize", resize, 0, kMaxSide));
  QS_RETURN_IF_ERROR(Check("crop", crop, 0, kMaxSide));
  // Their pixels are counted in an int.
  return Check("max_pixels", max_pixels, 1, std::numeric_limits<int>::max());
}

absl::Status ReadShardOptions::Validate() const {
  QS_RETURN_IF_ERROR(Check("max_bytes", max_bytes, 1, kMaxLimit));
  QS_RETURN_IF_ERROR(Check("max_samples", max_samples, 0, kMaxLimit));
  QS_RETURN_IF_ERROR(Check("max_sample_bytes", max_sample_bytes, 1, kMaxLimit));
  return images.Validate();
}

}  // namespace quantserve
