// What torchvision's transforms make of a PIL image.
#pragma once

#include "absl/status/statusor.h"
#include "quant/data/image.h"
#include "quant/data/read_options.h"

namespace quantserve {

// Resize(options.resize), then CenterCrop(options.crop), where they are not 0:
// the shorter side becomes `resize`, the longer one keeps the proportion,
// rounded down; what is smaller than the crop gets a black border.
// INVALID_ARGUMENT if the result would have more than max_pixels. Thread-safe.
absl::StatusOr<Image> TransformImage(Image image, const ImageOptions& options);

}  // namespace quantserve
