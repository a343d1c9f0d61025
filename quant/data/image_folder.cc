#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/data/file.h"
#include "quant/data/image_files.h"
#include "quant/data/image_transforms.h"
#include "quant/data/readers.h"

namespace quantserve {
namespace {

// Far more than the largest image allowed takes.
constexpr int64_t kMaxFileBytes = int64_t{1} << 30;

class Folder {
 public:
  Folder(std::string path, ImageFiles files, const ImageOptions& options)
      : path_(std::move(path)), files_(std::move(files)), options_(options) {}

  int64_t size() const { return static_cast<int64_t>(files_.files.size()); }
  bool has_classes() const { return !files_.classes.empty(); }
  int32_t label(int64_t i) const { return files_.files[i].label; }
  std::string Name(int64_t i) const { return files_.Path(i); }

  // Every error names the file.
  absl::StatusOr<Image> Read(int64_t i) const {
    absl::StatusOr<Image> image = Decode(i);
    if (image.ok()) return image;
    return absl::InvalidArgumentError(
        absl::StrCat("holds ", Name(i), ", which ", image.status().message()));
  }

 private:
  absl::StatusOr<Image> Decode(int64_t i) const {
    const absl::StatusOr<std::string> bytes = ReadWholeFile(
        (std::filesystem::path(path_) / Name(i)).string(), kMaxFileBytes);
    if (!bytes.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "is no image, expected one: ", bytes.status().message()));
    }
    QS_ASSIGN_OR_RETURN(Image image, DecodeImage(*bytes, options_.max_pixels));
    return TransformImage(std::move(image), options_);
  }

  const std::string path_;
  const ImageFiles files_;
  const ImageOptions& options_;
};

// R, G, B, R, G, B … to a plane each.
void StorePlanes(const Image& image, uint8_t* to) {
  const size_t plane = image.rgb.size() / 3;
  for (size_t i = 0; i < plane; ++i) {
    for (size_t c = 0; c < 3; ++c) to[c * plane + i] = image.rgb[3 * i + c];
  }
}

absl::Status CheckSize(const Image& image, const Image& first,
                       const Folder& folder, int64_t i) {
  if (image.width == first.width && image.height == first.height) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "holds ", folder.Name(i), " of ", image.width, " x ", image.height,
      " pixels, expected ", first.width, " x ", first.height, " as ",
      folder.Name(0), " has: a crop makes sizes equal"));
}

}  // namespace

absl::StatusOr<RawShard> ReadImageFolder(const std::string& path,
                                         const ReadShardOptions& options) {
  QS_ASSIGN_OR_RETURN(ImageFiles files, ListImageFiles(path, options.control));
  const Folder folder(path, std::move(files), options.images);
  // The first image tells how much memory each takes.
  QS_ASSIGN_OR_RETURN(const Image first, folder.Read(0));
  const int64_t bytes = static_cast<int64_t>(first.rgb.size());
  RawShard shard;
  QS_ASSIGN_OR_RETURN(const DrawnSamples drawn,
                      DrawSamples(folder.size(), bytes, options));
  // Names come class by class; who takes the first samples wants all classes.
  shard.drawn = Shuffled(drawn, options.seed);
  const int64_t count = shard.drawn.size();
  Tensor samples(DType::kU8, {count, 3, first.height, first.width});
  for (int64_t i = 0; i < count; ++i) {
    const int64_t number = shard.drawn[i];
    QS_ASSIGN_OR_RETURN(const Image image, folder.Read(number));
    QS_RETURN_IF_ERROR(CheckSize(image, first, folder, number));
    StorePlanes(image, samples.data<uint8_t>() + i * bytes);
    if (folder.has_classes()) shard.labels.push_back(folder.label(number));
    QS_RETURN_IF_ERROR(options.control.Report("read", i + 1, count));
  }
  shard.inputs.push_back({kOnlyInput, std::move(samples)});
  return shard;
}

}  // namespace quantserve
