// JPEG and PNG files, decoded, resized and cropped.
#include <png.h>

#include <string>

#include "absl/strings/string_view.h"
#include "quant/data/image.h"
#include "quant/data/image_transforms.h"
#include "tests/fuzz/check.h"

namespace quantserve::fuzz {
namespace {

constexpr int64_t kMaxPixels = 1 << 16;

std::string EncodePng(const Image& image) {
  png_image about{};
  about.version = PNG_IMAGE_VERSION;
  about.width = static_cast<png_uint_32>(image.width);
  about.height = static_cast<png_uint_32>(image.height);
  about.format = PNG_FORMAT_RGB;
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(about);
  std::string file(bytes, '\0');
  QS_FUZZ_CHECK(png_image_write_to_memory(&about, file.data(), &bytes, 0,
                                          image.rgb.data(), 0, nullptr) != 0);
  file.resize(bytes);
  return file;
}

void CheckSize(const Image& image) {
  QS_FUZZ_CHECK(image.width >= 1 && image.height >= 1);
  QS_FUZZ_CHECK(int64_t{image.width} * image.height <= kMaxPixels);
  QS_FUZZ_CHECK(image.rgb.size() == size_t{3} * image.width * image.height);
}

void CheckTransforms(const Image& image) {
  for (const Interpolation filter :
       {Interpolation::kBilinear, Interpolation::kBicubic}) {
    ImageOptions options;
    options.max_pixels = kMaxPixels;
    options.interpolation = filter;
    options.resize = 7;
    options.crop = 9;
    const auto square = TransformImage(image, options);
    if (!square.ok()) {
      // One pixel wide and very long: resized it has too many.
      CheckRefusal(square.status());
      continue;
    }
    CheckSize(*square);
    QS_FUZZ_CHECK(square->width == 9 && square->height == 9);
  }
}

void CheckImage(absl::string_view bytes) {
  const auto image = DecodeImage(bytes, kMaxPixels);
  if (!image.ok()) return CheckRefusal(image.status());
  CheckSize(*image);
  // Twice the same: nothing in it comes from memory that nobody wrote.
  const auto twice = DecodeImage(bytes, kMaxPixels);
  QS_FUZZ_CHECK(twice.ok() && twice->rgb == image->rgb);
  const auto again = DecodeImage(EncodePng(*image), kMaxPixels);
  QS_FUZZ_CHECK(again.ok() && again->rgb == image->rgb);
  QS_FUZZ_CHECK(again->width == image->width);
  CheckTransforms(*image);
}

}  // namespace
}  // namespace quantserve::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quantserve::fuzz::CheckImage({reinterpret_cast<const char*>(data), size});
  return 0;
}
