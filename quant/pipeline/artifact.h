// What an INT8 model says about itself: from what it was made, by which
// decisions, and what came of it. One JSON document, which is kept in an
// ArtifactStore and stands in every INT8 file as its member "quantserve.json".
//
//   {"sha256":"…","artifact":
//   {
//    "digest": SHA-256 of "recipe", as it stands here
//    "format": 2,
//    "inputs": {"calibration": {…}, "cpu": {…}, "model": {…}, "versions": {…}},
//    "recipe": every decision (quant/plan/recipe.h)
//    "report": accuracy on held-out samples, trials, layers, …
//   }}
//
// The text is canonical: keys are sorted, every number comes back as it was,
// equal artifacts give equal text. Its first line holds the SHA-256 of what
// follows "artifact": up to the last brace, so that damage is found before
// anything is parsed.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "quant/plan/recipe.h"
#include "quant/report/quantization_report.h"

namespace quantserve {

inline constexpr char kArtifactFile[] = "quantserve.json";

// Everything that decides what a quantization gives, as text, by dotted name:
// "calibration.samples" is "512". Equal inputs give equal recipes.
using ArtifactInputs = std::map<std::string, std::string>;
// The name of the one input that every artifact has: its model's.
inline constexpr char kModelInput[] = "model.sha256";

struct Artifact {
  ArtifactInputs inputs;
  Recipe recipe;
  // What the quantization that made it found out. `digest` is that of the
  // recipe; `artifact` and `phases` belong to a run and are not kept; a
  // histogram comes back with at most kMaxHistogramBins bins.
  QuantizationReport report;
};

inline constexpr int kMaxHistogramBins = 64;
inline constexpr int64_t kMaxArtifactBytes = int64_t{32} << 20;

// INVALID_ARGUMENT, naming the value, if the recipe holds what ParseArtifact
// would refuse; RESOURCE_EXHAUSTED if the text would be too long.
absl::StatusOr<std::string> ArtifactText(const Artifact& artifact);

// INVALID_ARGUMENT, saying what is wrong and where, if `text` is not what
// ArtifactText writes: too long, damaged, of another format, a number out of
// its range. The text may be hostile; whether names and counts fit a plan is
// for QuantizePlan to find out.
absl::StatusOr<Artifact> ParseArtifact(absl::string_view text);

// At most `most` characters of a text that may be hostile, in printable ASCII.
std::string Printable(absl::string_view text, size_t most);

// Lower-case hex SHA-256 of the recipe's canonical text.
std::string RecipeDigest(const Recipe& recipe);

// Lower-case hex SHA-256: equal for equal inputs.
std::string InputsKey(const ArtifactInputs& inputs);

}  // namespace quantserve
