// What torch.save writes: a ZIP archive with a pickle, <name>/data.pkl, whose
// tensors refer to raw little-endian records, <name>/data/<key>.
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "quant/base/status_macros.h"
#include "quant/data/elements.h"
#include "quant/data/pickle.h"
#include "quant/data/pt_tensor.h"
#include "quant/data/readers.h"
#include "quant/data/zip_archive.h"

namespace quantserve {
namespace {

using Kind = PickleValue::Kind;

constexpr absl::string_view kExpected =
    "expected a tensor, a tuple or list (samples, labels), or a dict of "
    "tensors";

absl::Status Unexpected(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("holds ", what, ", ", kExpected));
}

class PtReader {
 public:
  PtReader(ZipArchive* archive, std::string folder, int64_t max_bytes)
      : archive_(*archive), folder_(std::move(folder)), max_bytes_(max_bytes) {}

  absl::StatusOr<RawShard> Read(const PickleValue& root) {
    const PickleValue& value = Unwrap(root);
    if (value.kind == Kind::kCall) return Make(&value, nullptr);
    if (value.kind == Kind::kTuple || value.kind == Kind::kList) {
      if (value.items.size() == 1) return Make(value.items[0], nullptr);
      if (value.items.size() == 2) return Make(value.items[0], value.items[1]);
      return Unexpected(
          absl::StrCat("a tuple or list of ", value.items.size()));
    }
    if (value.kind == Kind::kDict) return FromDict(value);
    return Unexpected("something else");
  }

 private:
  // What LibTorch's C++ writer puts around typed lists and dicts.
  static const PickleValue& Unwrap(const PickleValue& value) {
    if (value.IsCall("torch.jit._pickle build_tensorlist", 1) ||
        value.IsCall("torch.jit._pickle restore_type_tag", 1)) {
      return value.argument(0);
    }
    return value;
  }

  absl::StatusOr<RawShard> FromDict(const PickleValue& dict) {
    std::vector<std::string> names;
    std::vector<const PickleValue*> values;
    for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      if (dict.items[i]->kind != Kind::kString) continue;
      names.push_back(dict.items[i]->text);
      values.push_back(dict.items[i + 1]);
    }
    const ShardKeys keys = FindShardKeys(names);
    if (keys.samples.empty()) {
      constexpr size_t kShown = 8;
      if (names.size() > kShown) names.resize(kShown);
      return absl::InvalidArgumentError(absl::StrCat(
          "holds a dict with the keys \"", absl::StrJoin(names, "\", \""),
          "\", expected samples under x, images, inputs, data or x_*"));
    }
    const auto find = [&](const std::string& key) -> const PickleValue* {
      for (size_t i = 0; i < names.size(); ++i) {
        if (names[i] == key) return values[i];
      }
      return nullptr;
    };
    return Make(find(keys.samples), find(keys.labels));
  }

  // `labels` may be null.
  absl::StatusOr<RawShard> Make(const PickleValue* samples,
                                const PickleValue* labels) {
    RawShard shard;
    QS_ASSIGN_OR_RETURN(shard.samples, Samples(*samples));
    if (labels == nullptr) return shard;
    QS_ASSIGN_OR_RETURN(shard.labels, Labels(*labels));
    if (shard.labels.empty()) return Unexpected("no labels");
    return shard;
  }

  absl::StatusOr<PtTensor> ReadTensor(const PickleValue& value) {
    return ReadPtTensor(value, folder_, max_bytes_, &archive_);
  }

  absl::StatusOr<Tensor> Samples(const PickleValue& value) {
    QS_ASSIGN_OR_RETURN(const PtTensor tensor, ReadTensor(value));
    const auto is = [&](const char* type) { return tensor.storage == type; };
    if (is("torch ByteStorage")) {
      return CopySamples<uint8_t>(tensor.shape, tensor.data);
    }
    if (is("torch FloatStorage")) {
      return CopySamples<float>(tensor.shape, tensor.data);
    }
    if (is("torch DoubleStorage")) {
      return CopySamples<double>(tensor.shape, tensor.data);
    }
    return absl::InvalidArgumentError(
        absl::StrCat("has samples in a ", tensor.storage,
                     ", expected uint8, float32 or float64"));
  }

  absl::StatusOr<std::vector<int64_t>> Labels(const PickleValue& value) {
    QS_ASSIGN_OR_RETURN(const PtTensor tensor, ReadTensor(value));
    QS_RETURN_IF_ERROR(CheckLabelShape(tensor.shape));
    const auto is = [&](const char* type) { return tensor.storage == type; };
    if (is("torch ByteStorage")) return CopyLabels<uint8_t>(tensor.data);
    if (is("torch CharStorage")) return CopyLabels<int8_t>(tensor.data);
    if (is("torch ShortStorage")) return CopyLabels<int16_t>(tensor.data);
    if (is("torch IntStorage")) return CopyLabels<int32_t>(tensor.data);
    if (is("torch LongStorage")) return CopyLabels<int64_t>(tensor.data);
    return absl::InvalidArgumentError(absl::StrCat(
        "has labels in a ", tensor.storage, ", expected integers"));
  }

  ZipArchive& archive_;
  const std::string folder_;
  const int64_t max_bytes_;
};

// "archive/" if there is one entry archive/data.pkl.
absl::StatusOr<std::string> FindFolder(const ZipArchive& archive) {
  constexpr absl::string_view kPickle = "data.pkl";
  for (const std::string& name : archive.names()) {
    if (!absl::EndsWith(name, absl::StrCat("/", kPickle))) continue;
    const std::string folder = name.substr(0, name.size() - kPickle.size());
    if (archive.Has(absl::StrCat(folder, "constants.pkl"))) {
      return absl::InvalidArgumentError(
          absl::StrCat("is a TorchScript model, ", kExpected));
    }
    return folder;
  }
  return absl::InvalidArgumentError(
      "is a ZIP archive without a data.pkl, expected what torch.save writes");
}

}  // namespace

absl::StatusOr<RawShard> ReadPtShard(const std::string& bytes,
                                     int64_t max_bytes) {
  if (!absl::StartsWith(bytes, "PK")) {
    return absl::InvalidArgumentError(
        absl::StartsWith(bytes, "\x80")
            ? "is in the old format of torch.save, expected the ZIP format of "
              "PyTorch 1.6 and later: load it and save it again"
            : "is not what torch.save writes, expected a ZIP archive");
  }
  QS_ASSIGN_OR_RETURN(ZipArchive archive, ZipArchive::Open(bytes, max_bytes));
  QS_ASSIGN_OR_RETURN(const std::string folder, FindFolder(archive));
  const std::string byteorder = absl::StrCat(folder, "byteorder");
  if (archive.Has(byteorder)) {
    QS_ASSIGN_OR_RETURN(const std::string order, archive.Read(byteorder));
    if (order != "little") {
      return absl::InvalidArgumentError(
          "was written by a big-endian machine, expected little-endian data");
    }
  }
  QS_ASSIGN_OR_RETURN(const std::string pickled,
                      archive.Read(absl::StrCat(folder, "data.pkl")));
  QS_ASSIGN_OR_RETURN(const Pickle pickle, Pickle::Parse(pickled));
  return PtReader(&archive, folder, max_bytes).Read(pickle.root());
}

}  // namespace quantserve
