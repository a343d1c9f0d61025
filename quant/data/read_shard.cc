#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "quant/base/one_line.h"
#include "quant/base/status_macros.h"
#include "quant/data/file.h"
#include "quant/data/readers.h"
#include "quant/data/shard.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;

// The readers' and Make's messages continue a sentence about the file.
absl::Status About(const std::string& path, const absl::Status& status) {
  const absl::Status line = OneLine(status);  // it may repeat what is in it
  return absl::Status(line.code(),
                      absl::StrCat("shard \"", path, "\" ", line.message()));
}

absl::StatusOr<RawShard> ReadFormat(const std::string& path,
                                    std::unique_ptr<FileStream> file,
                                    const ReadShardOptions& options) {
  if (absl::EndsWith(path, ".bin")) return ReadCifar10(file.get(), options);
  if (absl::EndsWith(path, ".npy")) {
    return ReadNpyShard(std::move(file), options);
  }
  if (absl::EndsWith(path, ".npz")) return ReadNpzShard(path, options);
  if (absl::EndsWith(path, ".pt")) return ReadPtShard(path, options);
  return absl::InvalidArgumentError(
      "has an unknown ending, expected .bin, .npy, .npz or .pt");
}

absl::Status CheckOptions(const Shard& shard, const DrawnSamples& drawn,
                          const ReadShardOptions& options) {
  if (!options.sample_shape.empty() &&
      shard.sample_shape() != options.sample_shape) {
    return absl::InvalidArgumentError(
        absl::StrCat("has samples of shape ", ShapeString(shard.sample_shape()),
                     ", expected ", ShapeString(options.sample_shape)));
  }
  if (options.num_classes <= 0) return absl::OkStatus();
  for (size_t i = 0; i < shard.labels().size(); ++i) {
    if (shard.labels()[i] >= options.num_classes) {
      return absl::InvalidArgumentError(absl::StrCat(
          "sample ", drawn[static_cast<int64_t>(i)], " has the label ",
          shard.labels()[i], ", expected 0 to ", options.num_classes - 1));
    }
  }
  return absl::OkStatus();
}

// The name goes into reports, which must not show the server's folders.
std::string Name(const std::string& path) {
  const fs::path normal = fs::path(path).lexically_normal();
  // "images/" is the folder "images".
  return (normal.has_filename() ? normal : normal.parent_path())
      .filename()
      .string();
}

}  // namespace

absl::StatusOr<Shard> ReadShard(const std::string& path,
                                const ReadShardOptions& options) {
  QS_RETURN_IF_ERROR(options.Validate());
  std::error_code error;
  absl::StatusOr<RawShard> raw;
  if (fs::is_directory(path, error)) {
    raw = ReadImageFolder(path, options);
  } else {
    QS_ASSIGN_OR_RETURN(auto file, FileStream::Open(path));
    if (file->remaining() == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", path, "\" is empty"));
    }
    raw = ReadFormat(path, std::move(file), options);
  }
  if (!raw.ok()) return About(path, raw.status());
  const DrawnSamples drawn = raw->drawn;
  absl::StatusOr<Shard> shard =
      Shard::Make(Name(path), std::move(raw->inputs), std::move(raw->labels),
                  std::move(raw->drawn));
  if (!shard.ok()) return About(path, shard.status());
  const absl::Status checked = CheckOptions(*shard, drawn, options);
  if (!checked.ok()) return About(path, checked);
  return shard;
}

}  // namespace quantserve
