#include "quant/data/image_transforms.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/data/resample.h"

namespace quantserve {
namespace {

absl::StatusOr<Image> Resize(const Image& image, const ImageOptions& options) {
  const int64_t shorter = std::min(image.width, image.height);
  const int64_t longer = std::max(image.width, image.height);
  const int64_t size = options.resize;
  // Python's int(size * long / short): a quotient of doubles, cut off.
  const int64_t other = static_cast<int64_t>(
      static_cast<double>(size * longer) / static_cast<double>(shorter));
  const absl::Status fits = CheckPixels(size, other, options.max_pixels);
  if (!fits.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("resized to ", size, " ", fits.message()));
  }
  const bool upright = image.width <= image.height;
  return Resample(image, static_cast<int>(upright ? size : other),
                  static_cast<int>(upright ? other : size),
                  options.interpolation);
}

// Where a side of `crop` pixels begins in one of `size`. A smaller image is
// given its border first (the odd pixel at the end), which is then cropped by
// nothing. A larger one is cropped by half the difference, rounded half to
// even: 5 pixels to 2 begin at 2, 3 to 2 at 0.
int CropBegin(int size, int crop) {
  if (crop > size) return -((crop - size) / 2);
  return static_cast<int>(std::nearbyint((size - crop) / 2.0));
}

Image CenterCrop(const Image& image, int crop) {
  Image out = Image::Make(crop, crop);
  const int left = CropBegin(image.width, crop);
  const int top = CropBegin(image.height, crop);
  const int first = std::max(0, left);
  const int columns = std::min(image.width, left + crop) - first;
  for (int y = std::max(0, top); y < std::min(image.height, top + crop); ++y) {
    std::memcpy(out.row(y - top) + size_t{3} * (first - left),
                image.row(y) + size_t{3} * first, size_t{3} * columns);
  }
  return out;
}

}  // namespace

absl::StatusOr<Image> TransformImage(Image image, const ImageOptions& options) {
  if (options.resize > 0) {
    QS_ASSIGN_OR_RETURN(image, Resize(image, options));
  }
  if (options.crop > 0 &&
      (image.width != options.crop || image.height != options.crop)) {
    image = CenterCrop(image, options.crop);
  }
  return image;
}

}  // namespace quantserve
