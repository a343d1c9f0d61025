#include <turbojpeg.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/data/image.h"

namespace quantserve {
namespace {

absl::Status Damaged(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "is a damaged JPEG image (", why, "), expected a whole one"));
}

// The one warning that says nothing about the pixels.
bool IsHarmless(tjhandle handle) {
  return tjGetErrorCode(handle) == TJERR_WARNING &&
         absl::StrContains(tjGetErrorStr2(handle), "extraneous bytes before");
}

absl::Status Decompress(tjhandle handle, absl::string_view bytes, int format,
                        int width, int height, uint8_t* out) {
  // As PIL has libjpeg do it: accurate cosine transform, smooth upsampling
  // (the default). Progressive files of thousands of scans are refused.
  constexpr int kFlags = TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS;
  const int failed = tjDecompress2(
      handle, reinterpret_cast<const unsigned char*>(bytes.data()),
      bytes.size(), out, width, 0, height, format, kFlags);
  // A file that ends too early is but a warning to libjpeg.
  if (failed != 0 && !IsHarmless(handle))
    return Damaged(tjGetErrorStr2(handle));
  return absl::OkStatus();
}

// a * b / 255, rounded, as PIL does it.
int MulDiv255(int a, int b) {
  const int product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

// `cmyk` holds inverted values: 255 is no ink.
void ConvertCmyk(const std::vector<uint8_t>& cmyk, Image* image) {
  for (size_t i = 0; i < cmyk.size() / 4; ++i) {
    const int light = cmyk[4 * i + 3];
    for (size_t c = 0; c < 3; ++c) {
      image->rgb[3 * i + c] =
          static_cast<uint8_t>(light - MulDiv255(255 - cmyk[4 * i + c], light));
    }
  }
}

}  // namespace

absl::StatusOr<Image> DecodeJpeg(absl::string_view bytes, int64_t max_pixels) {
  const std::unique_ptr<void, int (*)(tjhandle)> handle(tjInitDecompress(),
                                                        tjDestroy);
  if (handle == nullptr) {
    return absl::InternalError("can't be decoded: TurboJPEG does not start");
  }
  int width = 0, height = 0, subsampling = 0, colours = 0;
  if (tjDecompressHeader3(
          handle.get(), reinterpret_cast<const unsigned char*>(bytes.data()),
          bytes.size(), &width, &height, &subsampling, &colours) != 0 &&
      !IsHarmless(handle.get())) {
    return Damaged(tjGetErrorStr2(handle.get()));
  }
  // Tables without an image are a JPEG file to TurboJPEG.
  if (width < 1 || height < 1) return Damaged("it has no image");
  QS_RETURN_IF_ERROR(CheckPixels(width, height, max_pixels));
  Image image = Image::Make(width, height);
  if (colours != TJCS_CMYK && colours != TJCS_YCCK) {
    QS_RETURN_IF_ERROR(Decompress(handle.get(), bytes, TJPF_RGB, width, height,
                                  image.rgb.data()));
    return image;
  }
  std::vector<uint8_t> cmyk(size_t{4} * width * height);
  QS_RETURN_IF_ERROR(
      Decompress(handle.get(), bytes, TJPF_CMYK, width, height, cmyk.data()));
  ConvertCmyk(cmyk, &image);
  return image;
}

}  // namespace quantserve
