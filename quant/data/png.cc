// libpng's classic interface: its simplified one applies gamma and blends
// transparent pixels with a background, which PIL does not.
#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/data/image.h"

namespace quantserve {
namespace {

// Deflate can't do better than 1032 to 1.
constexpr int64_t kMaxRatio = 1100;

struct Reader {
  png_structp png = nullptr;
  png_infop info = nullptr;
  absl::string_view left;  // bytes that libpng has not read
  char error[128] = "";

  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
};

[[noreturn]] void OnError(png_structp png, png_const_charp message) {
  Reader* const reader = static_cast<Reader*>(png_get_error_ptr(png));
  std::snprintf(reader->error, sizeof(reader->error), "%s", message);
  png_longjmp(png, 1);
}

void OnWarning(png_structp, png_const_charp) {}

void OnRead(png_structp png, png_bytep to, size_t bytes) {
  Reader* const reader = static_cast<Reader*>(png_get_io_ptr(png));
  if (bytes > reader->left.size()) png_error(png, "it ends too early");
  std::memcpy(to, reader->left.data(), bytes);
  reader->left.remove_prefix(bytes);
}

// libpng jumps out of its calls on an error, so nothing with a destructor may
// live in these two functions. False: reader->error says why.
bool ReadHeader(Reader* reader) {
  if (setjmp(png_jmpbuf(reader->png)) != 0) return false;
  png_set_read_fn(reader->png, reader, OnRead);
  // The caller's own bound is on pixels; libpng's is 1,000,000 a side.
  png_set_user_limits(reader->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_read_info(reader->png, reader->info);
  return true;
}

bool ReadPixels(Reader* reader, Image* image) {
  if (setjmp(png_jmpbuf(reader->png)) != 0) return false;
  png_set_palette_to_rgb(reader->png);
  png_set_expand_gray_1_2_4_to_8(reader->png);
  png_set_strip_16(reader->png);
  png_set_strip_alpha(reader->png);
  png_set_gray_to_rgb(reader->png);
  const int passes = png_set_interlace_handling(reader->png);
  png_read_update_info(reader->png, reader->info);
  if (png_get_rowbytes(reader->png, reader->info) != size_t{3} * image->width) {
    png_error(reader->png, "its rows have an unexpected size");
  }
  for (int pass = 0; pass < passes; ++pass) {
    for (int y = 0; y < image->height; ++y) {
      png_read_row(reader->png, image->row(y), nullptr);
    }
  }
  png_read_end(reader->png, nullptr);
  return true;
}

absl::Status Damaged(absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("is a damaged PNG image (", why, "), expected a whole one"));
}

}  // namespace

absl::StatusOr<Image> DecodePng(absl::string_view bytes, int64_t max_pixels) {
  Reader reader;
  reader.left = bytes;
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, OnError,
                                      OnWarning);
  if (reader.png != nullptr) reader.info = png_create_info_struct(reader.png);
  if (reader.info == nullptr) {
    return absl::InternalError("can't be decoded: libpng does not start");
  }
  if (!ReadHeader(&reader)) return Damaged(reader.error);
  const int64_t width = png_get_image_width(reader.png, reader.info);
  const int64_t height = png_get_image_height(reader.png, reader.info);
  QS_RETURN_IF_ERROR(CheckPixels(width, height, max_pixels));
  const int64_t packed =
      static_cast<int64_t>(png_get_rowbytes(reader.png, reader.info)) * height;
  if (packed / kMaxRatio > static_cast<int64_t>(bytes.size())) {
    return Damaged(absl::StrCat("its ", width, " x ", height,
                                " pixels can't be in ", bytes.size(),
                                " bytes"));
  }
  Image image = Image::Make(static_cast<int>(width), static_cast<int>(height));
  if (!ReadPixels(&reader, &image)) return Damaged(reader.error);
  return image;
}

}  // namespace quantserve
