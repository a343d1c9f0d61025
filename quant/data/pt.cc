// What torch.save writes: a ZIP archive with a pickle, <name>/data.pkl, whose
// tensors refer to raw little-endian records, <name>/data/<key>.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "quant/base/status_macros.h"
#include "quant/data/arrays.h"
#include "quant/data/file.h"
#include "quant/data/pickle.h"
#include "quant/data/pt_tensor.h"
#include "quant/data/readers.h"
#include "quant/data/zip_archive.h"

namespace quantserve {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxKey = 512;

constexpr absl::string_view kExpected =
    "expected a tensor, a tuple or list (samples, labels), or a dict of "
    "tensors";

absl::Status Unexpected(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("holds ", what, ", ", kExpected));
}

class PtReader {
 public:
  PtReader(ZipArchive* archive, std::string folder,
           const ReadShardOptions& options)
      : archive_(*archive), folder_(std::move(folder)), options_(options) {}

  absl::StatusOr<RawShard> Read(const PickleValue& root) {
    const PickleValue& value = Unwrap(root);
    if (value.kind == Kind::kCall) return Make({{kOnlyInput, &value}}, nullptr);
    if (value.kind == Kind::kTuple || value.kind == Kind::kList) {
      const auto& items = value.items;
      if (items.size() == 1) return Make({{kOnlyInput, items[0]}}, nullptr);
      if (items.size() == 2) return Make({{kOnlyInput, items[0]}}, items[1]);
      return Unexpected(absl::StrCat("a tuple or list of ", items.size()));
    }
    if (value.kind == Kind::kDict) return FromDict(value);
    return Unexpected("something else");
  }

 private:
  using Named = std::pair<std::string, const PickleValue*>;

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
      // A long one is none of ours, and one text may be the key many times.
      if (dict.items[i]->kind != Kind::kString ||
          dict.items[i]->text.size() > kMaxKey) {
        continue;
      }
      names.push_back(dict.items[i]->text);
      values.push_back(dict.items[i + 1]);
    }
    QS_ASSIGN_OR_RETURN(const ShardKeys keys, FindShardKeys(names));
    if (keys.inputs.empty()) {
      constexpr size_t kShown = 8;
      if (names.size() > kShown) names.resize(kShown);
      return absl::InvalidArgumentError(absl::StrCat(
          "holds a dict with the keys \"", absl::StrJoin(names, "\", \""),
          "\", expected ", kSampleKeys));
    }
    const auto find = [&](const std::string& key) -> const PickleValue* {
      for (size_t i = 0; i < names.size(); ++i) {
        if (names[i] == key) return values[i];
      }
      return nullptr;
    };
    std::vector<Named> inputs;
    for (const std::string& key : keys.inputs) {
      inputs.emplace_back(key, find(key));
    }
    return Make(inputs, find(keys.labels));
  }

  // `labels` may be null.
  absl::StatusOr<RawShard> Make(const std::vector<Named>& inputs,
                                const PickleValue* labels) {
    std::vector<StoredArray> arrays;
    for (const auto& [name, value] : inputs) {
      QS_ASSIGN_OR_RETURN(StoredArray array, Open(*value));
      array.name = name;
      if (inputs.size() > 1) array.where = absl::StrCat("tensor ", name, " ");
      arrays.push_back(std::move(array));
    }
    if (labels == nullptr) return ReadArrays(arrays, nullptr, options_);
    QS_ASSIGN_OR_RETURN(const StoredArray array, Open(*labels));
    return ReadArrays(arrays, &array, options_);
  }

  absl::StatusOr<StoredArray> Open(const PickleValue& value) {
    QS_ASSIGN_OR_RETURN(StoredArray array,
                        OpenPtTensor(value, folder_, bounds_, &archive_));
    // What is in memory already counts against what comes.
    bounds_.max_sample_bytes -= array.bytes_in_memory;
    return array;
  }

  ZipArchive& archive_;
  const std::string folder_;
  const ReadShardOptions& options_;
  ReadShardOptions bounds_ = options_;  // of the arrays that are still to come
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

// The first bytes tell what else the file may be.
absl::Status CheckMagic(const std::string& path) {
  QS_ASSIGN_OR_RETURN(const auto file, FileStream::Open(path));
  std::string magic(std::min<int64_t>(2, file->remaining()), '\0');
  QS_RETURN_IF_ERROR(file->Read(absl::MakeSpan(magic)));
  if (magic == "PK") return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StartsWith(magic, "\x80")
          ? "is in the old format of torch.save, expected the ZIP format of "
            "PyTorch 1.6 and later: load it and save it again"
          : "is not what torch.save writes, expected a ZIP archive");
}

}  // namespace

absl::StatusOr<RawShard> ReadPtShard(const std::string& path,
                                     const ReadShardOptions& options) {
  QS_RETURN_IF_ERROR(CheckMagic(path));
  QS_ASSIGN_OR_RETURN(ZipArchive archive,
                      ZipArchive::OpenFile(path, options.max_bytes));
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
  return PtReader(&archive, folder, options).Read(pickle.root());
}

}  // namespace quantserve
