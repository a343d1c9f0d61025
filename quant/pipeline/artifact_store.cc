#include "quant/pipeline/artifact_store.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "quant/base/atomic_file.h"
#include "quant/base/sha256.h"
#include "quant/base/status_macros.h"
#include "quant/data/file.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;

constexpr size_t kModelDigits = 16;
constexpr absl::string_view kEnding = ".json";

// MODEL-INPUTS.json; empty if the inputs name no model.
std::string FileName(const ArtifactInputs& inputs) {
  const auto model = inputs.find(kModelInput);
  if (model == inputs.end() || !IsSha256(model->second)) return "";
  return absl::StrCat(model->second.substr(0, kModelDigits), "-",
                      InputsKey(inputs), kEnding);
}

bool IsFileName(absl::string_view name) {
  if (name.size() != kModelDigits + 1 + 64 + kEnding.size()) return false;
  // As long as a digest: one check for both.
  const std::string padded = absl::StrCat(name.substr(0, kModelDigits),
                                          std::string(64 - kModelDigits, '0'));
  return IsSha256(padded) && name[kModelDigits] == '-' &&
         IsSha256(name.substr(kModelDigits + 1, 64)) &&
         absl::EndsWith(name, kEnding);
}

struct Entry {
  std::string name;
  fs::file_time_type used;
  int64_t bytes = 0;
};

// Artifacts whose names start with `prefix`, the newest first.
std::vector<Entry> List(const std::string& directory,
                        absl::string_view prefix) {
  std::vector<Entry> entries;
  std::error_code error;
  fs::directory_iterator files(directory, error);
  while (!error && files != fs::directory_iterator()) {
    Entry entry{files->path().filename().string(), {}, 0};
    if (IsFileName(entry.name) && absl::StartsWith(entry.name, prefix)) {
      // Others may remove files meanwhile.
      std::error_code gone;
      entry.used = files->last_write_time(gone);
      if (!gone) entry.bytes = static_cast<int64_t>(files->file_size(gone));
      if (!gone) entries.push_back(std::move(entry));
    }
    files.increment(error);
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.used != b.used ? a.used > b.used : a.name < b.name;
  });
  return entries;
}

// "calibration.samples is 512, was 256".
std::string Difference(const ArtifactInputs& now, const ArtifactInputs& then) {
  constexpr size_t kMaxNamed = 4;
  std::vector<std::string> named;
  const auto compare = [&](const std::string& name, const std::string* is,
                           const std::string* was) {
    if (is != nullptr && was != nullptr && *is == *was) return;
    named.push_back(
        absl::StrCat(name, " is ", is ? Printable(*is, 40) : "not given",
                     ", was ", was ? Printable(*was, 40) : "not given"));
  };
  for (const auto& [name, value] : now) {
    const auto other = then.find(name);
    compare(name, &value, other == then.end() ? nullptr : &other->second);
  }
  for (const auto& [name, value] : then) {
    if (now.count(name) == 0) compare(name, nullptr, &value);
  }
  const size_t count = named.size();
  if (count > kMaxNamed) {
    named.resize(kMaxNamed);
    named.push_back(absl::StrCat("and ", count - kMaxNamed, " more"));
  }
  return absl::StrJoin(named, "; ");
}

void Prune(const std::string& directory, const std::string& keep) {
  const auto remove = [&](const Entry& entry) {
    if (entry.name == keep) return;
    std::error_code ignored;
    fs::remove(fs::path(directory) / entry.name, ignored);
  };
  const std::string model = keep.substr(0, kModelDigits + 1);
  size_t count = 0;
  int64_t bytes = 0;
  for (const Entry& entry : List(directory, model)) {
    bytes += entry.bytes;
    if (++count > ArtifactStore::kMaxOfModel ||
        bytes > ArtifactStore::kMaxBytesOfModel) {
      remove(entry);
    }
  }
  const std::vector<Entry> all = List(directory, "");
  for (size_t i = ArtifactStore::kMaxOfAll; i < all.size(); ++i) remove(all[i]);
}

ArtifactLookup None(absl::string_view reason) {
  return {std::nullopt, Printable(reason, 500)};
}

}  // namespace

ArtifactLookup ArtifactStore::Find(const ArtifactInputs& inputs) const {
  const std::string name = FileName(inputs);
  if (name.empty()) return None("the model's SHA-256 is not known");
  absl::StatusOr<Artifact> found = Load(name);
  if (found.ok() && found->inputs == inputs) {
    // It is in use: others go first. A read-only directory keeps all anyway.
    std::error_code ignored;
    fs::last_write_time(fs::path(directory_) / name,
                        fs::file_time_type::clock::now(), ignored);
    return {*std::move(found), ""};
  }
  if (found.ok()) {
    return None(absl::StrCat(name, " was made from other inputs: ",
                             Difference(inputs, found->inputs)));
  }
  if (!absl::IsNotFound(found.status())) {
    return None(found.status().message());
  }
  int attempts = 4;  // damaged ones must not take long
  for (const std::string& prefix :
       {name.substr(0, kModelDigits + 1), std::string()}) {
    for (const Entry& entry : List(directory_, prefix)) {
      if (--attempts < 0) break;
      const absl::StatusOr<Artifact> other = Load(entry.name);
      if (other.ok()) return None(Difference(inputs, other->inputs));
    }
  }
  return None("no artifact is kept yet");
}

absl::StatusOr<Artifact> ArtifactStore::Load(const std::string& name) const {
  const std::string path = (fs::path(directory_) / name).string();
  const absl::StatusOr<std::string> text =
      ReadWholeFile(path, kMaxArtifactBytes);
  if (!text.ok()) {
    return absl::Status(
        text.status().code(),
        absl::StrReplaceAll(text.status().message(), {{path, name}}));
  }
  absl::StatusOr<Artifact> artifact = ParseArtifact(*text);
  if (artifact.ok()) return artifact;
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": ", artifact.status().message()));
}

absl::Status ArtifactStore::Put(const Artifact& artifact) const {
  QS_ASSIGN_OR_RETURN(const std::string text, ArtifactText(artifact));
  std::error_code error;
  fs::create_directories(directory_, error);
  if (error) {
    return absl::Status(absl::ErrnoToStatusCode(error.value()),
                        absl::StrCat("cannot make the directory ", directory_,
                                     ": ", error.message()));
  }
  const std::string name = FileName(artifact.inputs);
  QS_RETURN_IF_ERROR(
      WriteFileAtomically((fs::path(directory_) / name).string(), text));
  RemoveLeftovers(directory_, "");
  Prune(directory_, name);
  return absl::OkStatus();
}

}  // namespace quantserve
