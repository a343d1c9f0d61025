// Labelled or unlabelled samples in memory: what calibration and evaluation
// read.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "quant/data/draw.h"
#include "quant/data/preprocessing.h"
#include "quant/data/read_options.h"
#include "quant/tensor/input_spec.h"
#include "quant/tensor/tensor.h"

namespace quantserve {

// What one input of the model gets.
struct ShardInput {
  std::string name;
  Tensor samples;  // [N, ...sample shape]
};

// The name of an input for which the source has none.
inline constexpr char kOnlyInput[] = "input_0";

// Immutable after ReadShard or Shard::Make; thread-safe.
class Shard {
 public:
  // Every input's samples are [N, ...sample shape] of the same N >= 1, dtype
  // kU8, kF32 or kI64; `labels` is empty or has N entries >= 0.
  // INVALID_ARGUMENT otherwise, for no input, for a float that is NaN or
  // infinite, and for an integer beyond 2^24, up to where a float holds every
  // one exactly. `drawn` says where the samples come from; nothing: they are
  // all there is.
  static absl::StatusOr<Shard> Make(std::string name,
                                    std::vector<ShardInput> inputs,
                                    std::vector<int64_t> labels,
                                    DrawnSamples drawn = DrawnSamples());
  // One input.
  static absl::StatusOr<Shard> Make(std::string name, Tensor samples,
                                    std::vector<int64_t> labels);

  const std::string& name() const { return name_; }
  int64_t size() const { return drawn_.size(); }
  // Samples in the source, of which size() were drawn.
  int64_t population() const { return drawn_.population(); }
  bool has_labels() const { return !labels_.empty(); }
  absl::Span<const int64_t> labels() const { return labels_; }

  size_t num_inputs() const { return inputs_.size(); }
  // `input` < num_inputs() everywhere.
  const std::string& input_name(size_t input) const {
    return inputs_[input].name;
  }
  DType dtype(size_t input = 0) const { return samples(input).dtype(); }
  const Shape& sample_shape(size_t input = 0) const {
    return sample_shapes_[input];
  }
  // All inputs, as a model that takes them is asked for them.
  std::vector<InputSpec> input_specs() const;
  int64_t sample_elements(size_t input = 0) const {
    return samples(input).elements() / size();
  }
  const Tensor& samples(size_t input = 0) const {
    return inputs_[input].samples;
  }

  // Lower-case hex SHA-256 of the samples in memory, their types, shapes and
  // inputs' names, and of the labels, whatever file they came from. Computed at
  // the first call, and that may take seconds.
  const std::string& sha256() const;

  // Writes samples [first, first + count) of an input as floats to `out`, which
  // has count * sample_elements(input) elements: 8-bit samples preprocessed,
  // floats and other integers as they are. The range must lie inside the shard.
  void Copy(size_t input, int64_t first, int64_t count,
            const Preprocessing& preprocessing, absl::Span<float> out) const;
  // The first input.
  void Copy(int64_t first, int64_t count, const Preprocessing& preprocessing,
            absl::Span<float> out) const {
    Copy(0, first, count, preprocessing, out);
  }

 private:
  struct Digest {
    std::once_flag once;
    std::string hex;
  };
  Shard() = default;
  std::string name_;
  std::vector<ShardInput> inputs_;
  std::vector<Shape> sample_shapes_;  // of each input
  std::vector<int64_t> labels_;
  DrawnSamples drawn_;
  std::shared_ptr<Digest> digest_ = std::make_shared<Digest>();
};

// Reads a shard; the file's ending tells its format:
//   .bin   CIFAR-10 binary: records of 1 label byte and 3,072 bytes, planes
//          R, G, B
//   .npy   samples, [N, ...], |u1, <f4, <f8 or integers, C order
//   .npz   samples under "x", "images", "inputs", "data" or "x_*" (the first
//          key that is there), or several inputs of one N under "input_0",
//          "input_1" and so on; labels under "y", "labels", "targets" or "y_*"
//   .pt    what torch.save writes: a tensor of samples, a tuple or list
//          (samples, labels), or a dict with the .npz keys; read without
//          LibTorch and without running anything that is pickled in it
// A folder holds images, *.jpg, *.jpeg and *.png, as samples [3,H,W] of bytes,
// R, G, B: either without labels, or in folders of their own, one for each
// class; labels are then the positions of the folders' names in byte order, as
// torchvision's ImageFolder has it. Samples come in an order of their own, so
// that the first ones are of all classes: the options' seed decides it, the
// same on every machine for as many images. Hidden files and other endings are
// left out. What a file's bytes are counts, not its ending.
//
// Bytes stay as they are (kU8), floating point becomes kF32 and other integers
// kI64, each at most 2^24. If there are more samples than the options allow,
// some are drawn; then only those are looked at, apart from sizes and names.
//
// NOT_FOUND if there is no such file; INVALID_ARGUMENT with the file's name and
// what was expected for anything malformed: empty, truncated, foreign, wrong
// sample size, NaN, label out of range, images of different size; CANCELLED if
// the options' control says so. The shard is called what the file or folder is
// called, without the folder that it is in. Thread-safe.
absl::StatusOr<Shard> ReadShard(const std::string& path,
                                const ReadShardOptions& options);

}  // namespace quantserve
