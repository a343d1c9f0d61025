// Image files as tensors.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace quantserve {

// Reads a JPEG, PNG or BMP file, resizes it to width x height unless that is
// its size and returns its pixels in planes, [channels, height, width].
// `channels` is 1 (luma) or 3 (red, green, blue). INVALID_ARGUMENT for a file
// that is no such image or has more than 2^26 pixels, NOT_FOUND if there is
// none.
absl::StatusOr<std::string> ReadImage(const std::string& path, int channels,
                                      int height, int width);

}  // namespace quantserve
