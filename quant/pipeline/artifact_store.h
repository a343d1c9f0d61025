// A directory of artifacts: what a restart loads instead of calibrating.
//
//   ArtifactStore store("/var/lib/quantserve");
//   const ArtifactLookup found = store.Find(inputs);
//   if (!found.artifact) { … log(found.reason) … store.Put(made); }
//
// One file for each set of inputs, MODEL-INPUTS.json by their digests, written
// atomically. Never trusted: whatever is not exactly what Put wrote is refused
// with its reason. Thread-safe; many processes, on several machines too, may
// share a directory.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "quant/pipeline/artifact.h"

namespace quantserve {

struct ArtifactLookup {
  std::optional<Artifact> artifact;
  // Without an artifact, why: one line in printable ASCII, without the
  // directory's name, so that it may be shown to whoever asks.
  std::string reason;
};

class ArtifactStore {
 public:
  // A directory holds at most so many artifacts of one model, and of all; those
  // go first that were not written or loaded for the longest time.
  static constexpr size_t kMaxOfModel = 16;
  static constexpr int64_t kMaxBytesOfModel = int64_t{64} << 20;
  static constexpr size_t kMaxOfAll = 256;

  // The directory is made at the first Put.
  explicit ArtifactStore(std::string directory)
      : directory_(std::move(directory)) {}

  // The artifact that was made from exactly these inputs, or the reason why
  // there is none: no artifact is kept, an input differs from those of the
  // newest artifact (of this model, if there is one), or the file is damaged.
  ArtifactLookup Find(const ArtifactInputs& inputs) const;

  // Keeps it, and removes what is too old and what killed writers left. The
  // error of ArtifactText or of the file system: then nothing has changed.
  absl::Status Put(const Artifact& artifact) const;

 private:
  absl::StatusOr<Artifact> Load(const std::string& name) const;
  const std::string directory_;
};

}  // namespace quantserve
