#include "quant/pipeline/artifact.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "quant/base/sha256.h"
#include "quant/base/status_macros.h"
#include "quant/pipeline/artifact_json.h"

namespace quantserve {
namespace {

using nlohmann::json;

// Raised when the document changes: an older one is quantized anew.
constexpr int kFormat = 2;

constexpr absl::string_view kHead = "{\"sha256\":\"";
constexpr absl::string_view kMiddle = "\",\"artifact\":\n";
constexpr absl::string_view kTail = "}\n";
constexpr size_t kDigestLength = 64;

// Bytes that are no UTF-8 (a file's name may hold any) are replaced.
std::string Dump(const json& value) {
  return value.dump(1, ' ', false, json::error_handler_t::replace);
}

absl::Status Refused(absl::string_view what) {
  return absl::InvalidArgumentError(Printable(what, 300));
}

// The document between head and tail, its checksum verified.
absl::StatusOr<absl::string_view> Unwrap(absl::string_view text) {
  if (text.empty()) return Refused("is empty");
  if (text.size() > kMaxArtifactBytes) {
    return Refused(absl::StrCat("has ", text.size(), " bytes, at most ",
                                kMaxArtifactBytes, " are allowed"));
  }
  const size_t head = kHead.size() + kDigestLength + kMiddle.size();
  if (text.size() < head || !absl::StartsWith(text, kHead) ||
      text.substr(kHead.size() + kDigestLength, kMiddle.size()) != kMiddle) {
    return Refused("does not begin as an artifact does");
  }
  const absl::string_view digest = text.substr(kHead.size(), kDigestLength);
  text.remove_prefix(head);
  if (!absl::EndsWith(text, kTail)) return Refused("is truncated");
  text.remove_suffix(kTail.size());
  if (Sha256(text) != digest) {
    return Refused("is damaged: its SHA-256 is not the one it begins with");
  }
  return text;
}

// An own document is flat and small; a hostile one must not become gigabytes
// of values or a stack of arrays.
json ParseBounded(absl::string_view text) {
  constexpr int kMaxDepth = 12;
  constexpr int64_t kMaxValues = 4'000'000;
  int64_t values = 0;
  const json::parser_callback_t check = [&](int depth, json::parse_event_t,
                                            json&) {
    if (depth > kMaxDepth) throw MalformedJson("is nested too deeply");
    if (++values > kMaxValues) throw MalformedJson("has too many values");
    return true;
  };
  return json::parse(text.begin(), text.end(), check);
}

json Document(const Artifact& artifact) {
  json recipe = ToJson(artifact.recipe);
  std::string digest = Sha256(Dump(recipe));
  return {{"format", kFormat},
          {"inputs", ToJson(artifact.inputs)},
          {"digest", std::move(digest)},
          {"recipe", std::move(recipe)},
          {"report", ToJson(artifact.report)}};
}

Artifact FromDocument(const JsonField& document) {
  const int64_t format = document["format"].Integer(0, 1 << 30);
  if (format != kFormat) {
    document["format"].Fail(
        absl::StrCat("is ", format, ", this version reads ", kFormat));
  }
  Artifact artifact;
  artifact.inputs = InputsFromJson(document["inputs"]);
  artifact.recipe = RecipeFromJson(document["recipe"]);
  artifact.report = ReportFromJson(document["report"]);
  artifact.report.digest = document["digest"].Text();
  if (artifact.report.digest != RecipeDigest(artifact.recipe)) {
    document["digest"].Fail("is not the recipe's");
  }
  return artifact;
}

}  // namespace

absl::StatusOr<std::string> ArtifactText(const Artifact& artifact) {
  try {
    const json document = Document(artifact);
    // What nobody could read again is not written.
    FromDocument(JsonField(document, ""));
    const std::string text = Dump(document);
    std::string whole = absl::StrCat(kHead, Sha256(text), kMiddle, text, kTail);
    if (whole.size() > kMaxArtifactBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the artifact would have ", whole.size(),
                       " bytes, at most ", kMaxArtifactBytes, " are allowed"));
    }
    return whole;
  } catch (const std::exception& error) {
    return Refused(error.what());
  }
}

absl::StatusOr<Artifact> ParseArtifact(absl::string_view text) {
  QS_ASSIGN_OR_RETURN(text, Unwrap(text));
  // nlohmann::json reports through exceptions; this is where they end.
  try {
    Artifact artifact = FromDocument(JsonField(ParseBounded(text), ""));
    // The rest of strictness in one line: whatever else is in it, or is written
    // otherwise, was not written by ArtifactText.
    if (Dump(Document(artifact)) != text) {
      return Refused("is not written as an artifact is");
    }
    return artifact;
  } catch (const std::exception& error) {
    return Refused(error.what());
  }
}

std::string Printable(absl::string_view text, size_t most) {
  std::string shown(text.substr(0, most));
  for (char& c : shown) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
  }
  if (text.size() > most) shown += "...";
  return shown;
}

std::string RecipeDigest(const Recipe& recipe) {
  return Sha256(Dump(ToJson(recipe)));
}

std::string InputsKey(const ArtifactInputs& inputs) {
  return Sha256(Dump(ToJson(inputs)));
}

}  // namespace quantserve
