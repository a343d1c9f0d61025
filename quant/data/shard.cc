#include "quant/data/shard.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/data/file.h"
#include "quant/data/readers.h"

namespace quantserve {
namespace {

absl::Status CheckFinite(absl::Span<const float> values,
                         int64_t sample_elements) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return absl::InvalidArgumentError(absl::StrCat(
          "sample ", static_cast<int64_t>(i) / sample_elements,
          " holds the value ", values[i], ", expected finite numbers"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckLabels(absl::Span<const int64_t> labels, int64_t size) {
  if (labels.empty()) return absl::OkStatus();
  if (static_cast<int64_t>(labels.size()) != size) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", labels.size(), " labels for ", size, " samples"));
  }
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "sample ", i, " has the label ", labels[i], ", expected 0 or more"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<RawShard> ReadFormat(const std::string& path,
                                    const std::string& bytes,
                                    int64_t max_bytes) {
  if (absl::EndsWith(path, ".bin")) return ReadCifar10(bytes);
  if (absl::EndsWith(path, ".npy")) return ReadNpyShard(bytes);
  if (absl::EndsWith(path, ".npz")) return ReadNpzShard(bytes, max_bytes);
  if (absl::EndsWith(path, ".pt")) return ReadPtShard(bytes, max_bytes);
  return absl::InvalidArgumentError(
      "has an unknown ending, expected .bin, .npy, .npz or .pt");
}

absl::Status CheckOptions(const Shard& shard, const ReadShardOptions& options) {
  if (!options.sample_shape.empty() &&
      shard.sample_shape() != options.sample_shape) {
    return absl::InvalidArgumentError(
        absl::StrCat("has samples of shape ", ShapeString(shard.sample_shape()),
                     ", expected ", ShapeString(options.sample_shape)));
  }
  if (options.num_classes <= 0) return absl::OkStatus();
  for (size_t i = 0; i < shard.labels().size(); ++i) {
    if (shard.labels()[i] >= options.num_classes) {
      return absl::InvalidArgumentError(
          absl::StrCat("sample ", i, " has the label ", shard.labels()[i],
                       ", expected 0 to ", options.num_classes - 1));
    }
  }
  return absl::OkStatus();
}

// The readers' and Make's messages continue a sentence about the file.
absl::Status About(const std::string& path, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat("shard \"", path, "\" ", status.message()));
}

}  // namespace

absl::StatusOr<Shard> Shard::Make(std::string name, Tensor samples,
                                  std::vector<int64_t> labels) {
  const Shape& shape = samples.shape();
  if (samples.dtype() != DType::kU8 && samples.dtype() != DType::kF32) {
    return absl::InvalidArgumentError(
        absl::StrCat("has samples of type ", DTypeName(samples.dtype()),
                     ", expected uint8 or float32"));
  }
  if (shape.empty() || samples.elements() <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("has samples of shape ", ShapeString(shape),
                     ", expected [N, ...] with at least one sample"));
  }
  Shard shard;
  shard.size_ = shape[0];
  shard.sample_shape_.assign(shape.begin() + 1, shape.end());
  shard.sample_elements_ = samples.elements() / shape[0];
  QS_RETURN_IF_ERROR(CheckLabels(labels, shard.size_));
  if (samples.dtype() == DType::kF32) {
    QS_RETURN_IF_ERROR(CheckFinite(std::as_const(samples).span<float>(),
                                   shard.sample_elements_));
  }
  shard.name_ = std::move(name);
  shard.samples_ = std::move(samples);
  shard.labels_ = std::move(labels);
  return shard;
}

void Shard::Copy(int64_t first, int64_t count,
                 const Preprocessing& preprocessing,
                 absl::Span<float> out) const {
  const size_t begin = first * sample_elements_;
  const size_t length = count * sample_elements_;
  if (dtype() == DType::kU8) {
    Preprocess(preprocessing, sample_shape_,
               samples_.span<uint8_t>().subspan(begin, length), out);
  } else {
    std::memcpy(out.data(), samples_.data<float>() + begin,
                length * sizeof(float));
  }
}

absl::StatusOr<Shard> ReadShard(const std::string& path,
                                const ReadShardOptions& options) {
  QS_ASSIGN_OR_RETURN(const std::string bytes,
                      ReadWholeFile(path, options.max_bytes));
  absl::StatusOr<RawShard> raw = ReadFormat(path, bytes, options.max_bytes);
  if (!raw.ok()) return About(path, raw.status());
  // The name goes into reports, which must not show the server's folders.
  absl::StatusOr<Shard> shard =
      Shard::Make(std::filesystem::path(path).filename().string(),
                  std::move(raw->samples), std::move(raw->labels));
  if (!shard.ok()) return About(path, shard.status());
  const absl::Status checked = CheckOptions(*shard, options);
  if (!checked.ok()) return About(path, checked);
  return shard;
}

}  // namespace quantserve
