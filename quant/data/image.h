// A decoded image, and the two formats that it is decoded from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quantserve {

// Rows from the top, each width * 3 bytes: R, G, B, R, G, B …
struct Image {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> rgb;

  // Takes the memory, zeroed.
  static Image Make(int width, int height) {
    Image image{width, height, {}};
    image.rgb.resize(size_t{3} * width * height);
    return image;
  }
  const uint8_t* row(int y) const { return rgb.data() + size_t{3} * width * y; }
  uint8_t* row(int y) { return rgb.data() + size_t{3} * width * y; }
};

// Decodes a JPEG or PNG file, told apart by its first bytes, as PIL's
// Image.open(…).convert("RGB") does: transparency is dropped, what has 16 bits
// keeps the upper 8, CMYK is taken for inverted, as Adobe's programs write it,
// and neither gamma, colour profiles nor the orientation in EXIF count.
// INVALID_ARGUMENT, in words that continue a sentence about the file: neither
// format, damaged, truncated, or more pixels than `max_pixels` (found out
// before memory is taken for them). Thread-safe.
absl::StatusOr<Image> DecodeImage(absl::string_view bytes, int64_t max_pixels);

// The same for bytes that begin as the format's files do.
absl::StatusOr<Image> DecodeJpeg(absl::string_view bytes, int64_t max_pixels);
absl::StatusOr<Image> DecodePng(absl::string_view bytes, int64_t max_pixels);

// INVALID_ARGUMENT unless both sides are at least 1 and their product is at
// most `max_pixels`.
absl::Status CheckPixels(int64_t width, int64_t height, int64_t max_pixels);

}  // namespace quantserve
