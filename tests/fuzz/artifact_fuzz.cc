// Artifacts as they lie in the store. What is mutated is the document in them;
// its checksums are made right again, as somebody hostile would.
#include <nlohmann/json.hpp>
#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "quant/base/sha256.h"
#include "quant/pipeline/artifact.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/mutate.h"

namespace quantserve::fuzz {
namespace {

using nlohmann::json;
using Random = std::minstd_rand;

std::string Dump(const json& value) {
  return value.dump(1, ' ', false, json::error_handler_t::replace);
}

std::string Sealed(const std::string& document) {
  return absl::StrCat("{\"sha256\":\"", Sha256(document), "\",\"artifact\":\n",
                      document, "}\n");
}

json Mutated(const json& value, Random* random) {
  const json others[] = {nullptr,
                         true,
                         0,
                         -1,
                         1e300,
                         0.1,
                         "",
                         json::array(),
                         json::object(),
                         uint64_t{1} << 63,
                         "nan",
                         255};
  if ((*random)() % 2 == 0) return others[(*random)() % std::size(others)];
  if (value.is_string()) {
    std::string text = value.get<std::string>();
    MutateText(256, &text);
    return text;
  }
  if (value.is_number_float()) {
    double number = value.get<double>();
    LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(&number), sizeof(number),
                     sizeof(number));
    return number;
  }
  if (value.is_number()) {
    auto number = value.get<int64_t>();
    LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(&number), sizeof(number),
                     sizeof(number));
    return number;
  }
  return others[(*random)() % std::size(others)];
}

// Goes down until chance or the end stops it, and changes what is there.
void Change(json* value, Random* random) {
  if (!value->is_structured() || value->empty()) {
    *value = Mutated(*value, random);
    return;
  }
  auto at = value->begin();
  std::advance(at, static_cast<std::ptrdiff_t>((*random)() % value->size()));
  switch ((*random)() % 24) {
    case 0:
      value->erase(at);
      return;
    case 1:
      if (value->is_array()) {
        value->push_back(json(*at));
      } else {
        std::string key = at.key();
        MutateText(64, &key);
        (*value)[key] = json(*at);
      }
      return;
    case 2:
      *at = Mutated(*at, random);
      return;
    default:
      Change(&*at, random);
  }
}

void CheckArtifact(absl::string_view text) {
  const auto artifact = ParseArtifact(text);
  if (!artifact.ok()) {
    CheckRefusal(artifact.status());
    for (const unsigned char c : artifact.status().message()) {
      QS_FUZZ_CHECK(absl::ascii_isprint(c));
    }
    return;
  }
  const auto again = ArtifactText(*artifact);
  QS_FUZZ_CHECK(again.ok() && *again == text);
  QS_FUZZ_CHECK(artifact->report.digest == RecipeDigest(artifact->recipe));
  QS_FUZZ_CHECK(IsSha256(artifact->inputs.at(kModelInput)));
  QS_FUZZ_CHECK(InputsKey(artifact->inputs).size() == 64);
  QS_FUZZ_CHECK(artifact->recipe.weight_bits == 7 ||
                artifact->recipe.weight_bits == 8);
  for (const auto& [name, range] : artifact->recipe.ranges) {
    QS_FUZZ_CHECK(range.affine.lo <= 0 && range.affine.hi >= 0);
    QS_FUZZ_CHECK(range.symmetric.lo == -range.symmetric.hi);
  }
}

}  // namespace
}  // namespace quantserve::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                          size_t max_size, unsigned int seed) {
  using namespace quantserve;
  using namespace quantserve::fuzz;
  Random random(seed);
  const std::string text(reinterpret_cast<const char*>(data), size);
  json whole = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (random() % 16 == 0 || !whole.is_object() || !whole.contains("artifact")) {
    return LLVMFuzzerMutate(data, size, max_size);
  }
  std::string document;
  json& artifact = whole["artifact"];
  for (unsigned int i = random() % 3; i > 0; --i) Change(&artifact, &random);
  if (artifact.is_object() && artifact.contains("recipe")) {
    artifact["digest"] = Sha256(Dump(artifact["recipe"]));
  }
  document = Dump(artifact);
  // The parser's turn: what is no JSON, or written otherwise.
  if (random() % 8 == 0) MutateText(max_size, &document);
  const size_t put = Put(Sealed(document), data, max_size);
  return put > 0 ? put : LLVMFuzzerMutate(data, size, max_size);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quantserve::fuzz::CheckArtifact({reinterpret_cast<const char*>(data), size});
  return 0;
}
