#include "client/quantctl/image.h"

#include <stb/stb_image.h>
#include <stb/stb_image_resize.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"

namespace quantserve {

absl::StatusOr<std::string> ReadImage(const std::string& path, int channels,
                                      int height, int width) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return absl::NotFoundError(absl::StrCat("no file ", path));
  }
  const auto bad = [&path](absl::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is not an image that can be read: ", why));
  };
  int w = 0, h = 0, components = 0;
  if (stbi_info(path.c_str(), &w, &h, &components) == 0) {
    return bad(stbi_failure_reason());
  }
  if (w < 1 || h < 1 || static_cast<int64_t>(w) * h > (int64_t{1} << 26)) {
    return bad(absl::StrCat(w, " x ", h, " pixels are too many"));
  }
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load(path.c_str(), &w, &h, &components, channels), stbi_image_free);
  if (pixels == nullptr) return bad(stbi_failure_reason());
  std::vector<unsigned char> resized(static_cast<size_t>(width) * height *
                                     channels);
  if (w == width && h == height) {
    std::copy_n(pixels.get(), resized.size(), resized.data());
  } else if (stbir_resize_uint8(pixels.get(), w, h, 0, resized.data(), width,
                                height, 0, channels) == 0) {
    return bad("it cannot be resized");
  }
  std::string planes(resized.size(), '\0');
  const size_t area = static_cast<size_t>(width) * height;
  for (size_t i = 0; i < area; ++i) {
    for (int c = 0; c < channels; ++c) {
      planes[c * area + i] = static_cast<char>(resized[i * channels + c]);
    }
  }
  return planes;
}

}  // namespace quantserve
