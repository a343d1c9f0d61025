// Single images: good ones are compared with PIL in torchvision_test.
#include "quant/data/image.h"

#include <zlib.h>

#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quant/data/image_transforms.h"
#include "tests/quant/data/writers.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kMaxPixels = ImageOptions().max_pixels;

std::string BigEndian(uint32_t value) {
  std::string bytes;
  for (int shift : {24, 16, 8, 0}) {
    bytes.push_back(static_cast<char>(value >> shift));
  }
  return bytes;
}

// The image's size in the header replaced, with the checksum that fits.
std::string PngClaiming(uint32_t width, uint32_t height) {
  std::string bytes = PngFile(9, 7);
  std::string header = bytes.substr(12, 17);  // "IHDR" and its 13 bytes
  header.replace(4, 8, BigEndian(width) + BigEndian(height));
  const auto sum =
      crc32(0, reinterpret_cast<const Bytef*>(header.data()), header.size());
  bytes.replace(12, 17, header);
  bytes.replace(29, 4, BigEndian(static_cast<uint32_t>(sum)));
  return bytes;
}

std::string JpegClaiming(int width, int height) {
  std::string bytes = JpegFile(9, 7);
  const size_t frame = bytes.find("\xff\xc0");
  bytes.replace(frame + 5, 4, BigEndian(height << 16 | width));
  return bytes;
}

TEST(ImageTest, DecodesBothFormatsByTheirFirstBytes) {
  for (const std::string& bytes : {JpegFile(9, 7), PngFile(9, 7)}) {
    const auto image = DecodeImage(bytes, kMaxPixels);
    ASSERT_TRUE(image.ok()) << image.status();
    EXPECT_EQ(image->width, 9);
    EXPECT_EQ(image->height, 7);
    EXPECT_EQ(image->rgb.size(), 3u * 9 * 7);
    EXPECT_NEAR(image->row(3)[3 * 4 + 2], 90, 12);
  }
}

TEST(ImageTest, SaysWhatIsWrongWithBadOnes) {
  const std::string jpeg = JpegFile(64, 48), png = PngFile(64, 48);
  std::string flipped = png;
  flipped[png.find("IDAT") + 20] ^= 1;
  std::string no_header = png;
  no_header[20] ^= 1;
  const struct {
    const char* name;
    std::string bytes;
    const char* message;
  } kBad[] = {
      {"nothing", "", "is not an image, expected the bytes of a JPEG or PNG"},
      {"text", "hello\n", "is not an image, expected the bytes of a JPEG or"},
      {"GIF", "GIF89a", "is not an image"},
      {"JPEG without pixels", jpeg.substr(0, 100), "is a damaged JPEG image"},
      {"half a JPEG", jpeg.substr(0, jpeg.size() * 2 / 3),
       "is a damaged JPEG image (Premature end of JPEG file), expected a "
       "whole"},
      {"JPEG without its end", jpeg.substr(0, jpeg.size() - 2),
       "is a damaged JPEG image"},
      {"only the JPEG mark", jpeg.substr(0, 3), "is a damaged JPEG image"},
      {"JPEG of nothing", JpegClaiming(0, 7), "is a damaged JPEG image"},
      {"JPEG bomb", JpegClaiming(65500, 65500),
       "has 65500 x 65500 pixels, expected at most 178956970"},
      {"half a PNG", png.substr(0, png.size() / 2),
       "is a damaged PNG image (it ends too early), expected a whole one"},
      {"PNG without its end", png.substr(0, png.size() - 12),
       "is a damaged PNG image (it ends too early)"},
      {"PNG with a wrong bit", flipped, "is a damaged PNG image (IDAT: "},
      {"PNG with a wrong header", no_header,
       "is a damaged PNG image (IHDR: CRC"},
      {"only the PNG mark", png.substr(0, 8), "is a damaged PNG image"},
      {"PNG of nothing", PngClaiming(0, 7), "is a damaged PNG image"},
      {"PNG bomb", PngClaiming(60000, 60000),
       "has 60000 x 60000 pixels, expected at most 178956970"},
      {"wide PNG bomb", PngClaiming(0x7fffffff, 1), "pixels, expected at most"},
      {"PNG that lies", PngClaiming(10000, 10000),
       "its 10000 x 10000 pixels can't be in"},
  };
  for (const auto& c : kBad) {
    const auto image = DecodeImage(c.bytes, kMaxPixels);
    EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument)
        << c.name;
    EXPECT_THAT(std::string(image.status().message()), HasSubstr(c.message))
        << c.name;
    EXPECT_THAT(std::string(image.status().message()), HasSubstr("expected"))
        << c.name;
  }
}

// No mutation reads outside the bytes (AddressSanitizer sees to that).
TEST(ImageTest, SurvivesTruncationAndMutation) {
  for (const std::string& whole : {JpegFile(24, 17), PngFile(24, 17)}) {
    for (size_t n = 0; n < whole.size(); ++n) {
      EXPECT_FALSE(DecodeImage(whole.substr(0, n), 1 << 16).ok()) << n;
    }
    std::mt19937 random(21);
    for (int i = 0; i < 4000; ++i) {
      std::string bytes = whole;
      for (unsigned k = random() % 4 + 1; k > 0; --k) {
        bytes[random() % bytes.size()] = static_cast<char>(random());
      }
      (void)DecodeImage(bytes, 1 << 16);
    }
  }
}

TEST(ImageTransformsTest, RefusesResultsOfTooManyPixels) {
  ImageOptions options;
  options.resize = 16384;
  EXPECT_EQ(TransformImage(Image::Make(1000, 1), options).status().message(),
            "resized to 16384 has 16384 x 16384000 pixels, expected at most "
            "178956970");
  options.resize = 200;
  const auto image = TransformImage(Image::Make(1000, 1), options);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->width, 200000);
  EXPECT_EQ(image->height, 200);
}

}  // namespace
}  // namespace quantserve
