// How a shard is read: what is expected of it, how much of it, and what is done
// to images on the way.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "quant/base/job_control.h"
#include "quant/tensor/tensor.h"

namespace quantserve {

// The filters of PIL's Image.resize, which widen when an image is made smaller
// (torchvision calls that antialiasing).
enum class Interpolation : uint8_t { kBilinear, kBicubic };
// "bilinear", "bicubic"; INVALID_ARGUMENT for other names.
absl::StatusOr<Interpolation> ParseInterpolation(absl::string_view name);

// What becomes of the images of a folder, in this order: torchvision's
// Resize(resize) and CenterCrop(crop) on PIL images.
struct ImageOptions {
  int resize = 0;  // pixels of the shorter side; 0: as it is
  int crop = 0;    // side of the square cut from the middle; 0: all of it
  Interpolation interpolation = Interpolation::kBilinear;
  // An image whose header claims more is refused before it is decoded. PIL's
  // own limit.
  int64_t max_pixels = 178956970;

  // INVALID_ARGUMENT unless resize and crop are 0 to 16384.
  absl::Status Validate() const;
};

struct ReadShardOptions {
  // What a sample of the first input must look like; empty: whatever the shard
  // holds. CIFAR-10 binary holds [3,32,32].
  Shape sample_shape;
  // Labels must be below this; 0: not checked.
  int64_t num_classes = 0;
  // A larger .npz or .pt file, or one that unpacks to more, is refused before
  // it is read. The other formats have no such limit.
  int64_t max_bytes = int64_t{64} << 30;

  // A shard may be larger than memory. If it holds more than one of these two
  // allows, samples are drawn, each equally likely, and kept in the order that
  // they have in the shard (a folder's are shuffled, drawn or not). 0: all.
  int64_t max_samples = 0;
  // Bytes of the drawn samples in memory, labels included.
  int64_t max_sample_bytes = int64_t{1} << 30;
  // Two draws of one seed from as many samples are the same, and so are two
  // orders of a folder's.
  uint64_t seed = 0;

  ImageOptions images;
  // Told of samples read of samples to read, in the phase "read".
  JobControl control;

  // INVALID_ARGUMENT for a limit below 0, for a max_sample_bytes of 0, and for
  // images' errors. ReadShard calls it.
  absl::Status Validate() const;
};

}  // namespace quantserve
