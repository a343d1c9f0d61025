// Labelled or unlabelled samples in memory: what calibration and evaluation
// read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "quant/data/preprocessing.h"
#include "quant/tensor/tensor.h"

namespace quantserve {

// Immutable after ReadShard or Shard::Make; thread-safe.
class Shard {
 public:
  // `samples` is [N, ...sample shape], dtype kU8 or kF32, N >= 1; `labels` is
  // empty or has N entries >= 0. INVALID_ARGUMENT otherwise, and for a float
  // sample that is NaN or infinite.
  static absl::StatusOr<Shard> Make(std::string name, Tensor samples,
                                    std::vector<int64_t> labels);

  const std::string& name() const { return name_; }
  int64_t size() const { return size_; }
  DType dtype() const { return samples_.dtype(); }
  const Shape& sample_shape() const { return sample_shape_; }
  int64_t sample_elements() const { return sample_elements_; }
  bool has_labels() const { return !labels_.empty(); }
  absl::Span<const int64_t> labels() const { return labels_; }
  const Tensor& samples() const { return samples_; }

  // Writes samples [first, first + count) as floats, preprocessed if they are
  // 8-bit, to `out`, which has count * sample_elements() elements.
  // The range must lie inside the shard.
  void Copy(int64_t first, int64_t count, const Preprocessing& preprocessing,
            absl::Span<float> out) const;

 private:
  Shard() = default;
  std::string name_;
  Tensor samples_;
  std::vector<int64_t> labels_;
  Shape sample_shape_;
  int64_t size_ = 0;
  int64_t sample_elements_ = 0;
};

struct ReadShardOptions {
  // What a sample must look like; empty: whatever the shard holds. CIFAR-10
  // binary holds [3,32,32].
  Shape sample_shape;
  // Labels must be below this; 0: not checked.
  int64_t num_classes = 0;
  // A larger file is refused before it is read.
  int64_t max_bytes = int64_t{4} << 30;
};

// Reads a shard; the file's ending tells its format:
//   .bin   CIFAR-10 binary: records of 1 label byte and 3,072 bytes, planes
//          R, G, B
//   .npy   samples, [N, ...], |u1, <f4 or <f8, C order
//   .npz   samples under "x", "images", "inputs", "data" or "x_*", labels under
//          "y", "labels", "targets" or "y_*" (the first key that is there)
//   .pt    what torch.save writes: a tensor of samples, a tuple or list
//          (samples, labels), or a dict with the .npz keys; read without
//          LibTorch and without running anything that is pickled in it
// NOT_FOUND if there is no such file; INVALID_ARGUMENT with the file's name and
// what was expected for anything malformed: empty, truncated, foreign, wrong
// sample size, NaN, label out of range. The shard is called what the file is
// called, without its folder. Thread-safe.
absl::StatusOr<Shard> ReadShard(const std::string& path,
                                const ReadShardOptions& options);

}  // namespace quantserve
