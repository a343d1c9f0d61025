#include "quant/data/image.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace quantserve {

absl::StatusOr<Image> DecodeImage(absl::string_view bytes, int64_t max_pixels) {
  if (absl::StartsWith(bytes, "\xff\xd8\xff")) {
    return DecodeJpeg(bytes, max_pixels);
  }
  if (absl::StartsWith(bytes, "\x89PNG\r\n\x1a\n")) {
    return DecodePng(bytes, max_pixels);
  }
  return absl::InvalidArgumentError(
      "is not an image, expected the bytes of a JPEG or PNG file");
}

absl::Status CheckPixels(int64_t width, int64_t height, int64_t max_pixels) {
  if (width < 1 || height < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has ", width, " x ", height, " pixels, expected at least 1 x 1"));
  }
  if (width > max_pixels / height) {
    return absl::InvalidArgumentError(absl::StrCat("has ", width, " x ", height,
                                                   " pixels, expected at most ",
                                                   max_pixels));
  }
  return absl::OkStatus();
}

}  // namespace quantserve
