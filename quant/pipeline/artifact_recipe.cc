// Inputs and recipe as JSON.
#include "absl/strings/str_cat.h"
#include "quant/base/sha256.h"
#include "quant/pipeline/artifact_json.h"

namespace quantserve {
namespace {

using nlohmann::json;

json ToJson(const Range& range) { return json::array({range.lo, range.hi}); }

Range RangeFromJson(const JsonField& field) {
  const std::vector<JsonField> ends = field.Items();
  if (ends.size() != 2) field.Fail("is no pair");
  const Range range{ends[0].Float(), ends[1].Float()};
  if (range.lo > 0 || range.hi < 0) {
    field.Fail(absl::StrCat("is [", range.lo, ", ", range.hi,
                            "], want an interval that holds zero"));
  }
  return range;
}

std::vector<float> FloatsFromJson(const JsonField& field) {
  std::vector<float> floats;
  for (const JsonField& item : field.Items()) floats.push_back(item.Float());
  return floats;
}

ValueRange ValueRangeFromJson(const JsonField& field) {
  ValueRange range;
  range.affine = RangeFromJson(field["affine"]);
  range.symmetric = RangeFromJson(field["symmetric"]);
  if (range.symmetric.lo != -range.symmetric.hi) {
    field["symmetric"].Fail("is not centred on zero");
  }
  return range;
}

Equalization EqualizationFromJson(const JsonField& field) {
  Equalization equalization{field["first"].Text(), field["second"].Text(),
                            FloatsFromJson(field["factors"])};
  for (float factor : equalization.factors) {
    if (factor <= 0) {
      field["factors"].Fail(
          absl::StrCat("holds ", factor, ", want positive numbers"));
    }
  }
  return equalization;
}

}  // namespace

json ToJson(const ArtifactInputs& inputs) {
  json sections = json::object();
  for (const auto& [name, value] : inputs) {
    const size_t dot = name.find('.');
    sections[name.substr(0, dot)][name.substr(dot + 1)] = value;
  }
  return sections;
}

ArtifactInputs InputsFromJson(const JsonField& field) {
  ArtifactInputs inputs;
  for (const std::string& section : field.Keys()) {
    const JsonField facts = field[section];
    for (const std::string& name : facts.Keys()) {
      inputs[absl::StrCat(section, ".", name)] = facts[name].Text();
    }
  }
  if (!IsSha256(inputs[kModelInput])) {
    field.Fail(absl::StrCat("lack ", kModelInput, ", or it is no SHA-256"));
  }
  return inputs;
}

json ToJson(const Recipe& recipe) {
  json equalizations = json::array();
  for (const Equalization& e : recipe.equalizations) {
    equalizations.push_back(
        {{"first", e.first}, {"second", e.second}, {"factors", e.factors}});
  }
  json ranges = json::object();
  for (const auto& [name, range] : recipe.ranges) {
    ranges[name] = {{"affine", ToJson(range.affine)},
                    {"symmetric", ToJson(range.symmetric)}};
  }
  // Written out: an empty map would become null.
  json shifts = json::object(), kept = json::object();
  for (const auto& [name, shift] : recipe.bias_shifts) shifts[name] = shift;
  for (const auto& [name, reason] : recipe.keep_float) kept[name] = reason;
  return {{"weight_bits", recipe.weight_bits},
          {"equalizations", std::move(equalizations)},
          {"ranges", std::move(ranges)},
          {"bias_shifts", std::move(shifts)},
          {"keep_float", std::move(kept)}};
}

Recipe RecipeFromJson(const JsonField& field) {
  Recipe recipe;
  recipe.weight_bits = static_cast<int>(field["weight_bits"].Integer(7, 8));
  for (const JsonField& item : field["equalizations"].Items()) {
    recipe.equalizations.push_back(EqualizationFromJson(item));
  }
  const JsonField ranges = field["ranges"];
  for (const std::string& name : ranges.Keys()) {
    recipe.ranges[name] = ValueRangeFromJson(ranges[name]);
  }
  const JsonField shifts = field["bias_shifts"];
  for (const std::string& name : shifts.Keys()) {
    recipe.bias_shifts[name] = FloatsFromJson(shifts[name]);
  }
  const JsonField kept = field["keep_float"];
  for (const std::string& name : kept.Keys()) {
    recipe.keep_float[name] = kept[name].Text();
  }
  return recipe;
}

}  // namespace quantserve
