#include "quant/pipeline/artifact.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "quant/base/cpu.h"
#include "quant/base/status_macros.h"
#include "quant/plan/quantize_plan.h"

namespace quantserve {
namespace {

using nlohmann::json;
constexpr int kFormat = 2;

json ToJson(const Range& range) { return json::array({range.lo, range.hi}); }

Range ToRange(const json& array) {
  const Range range{array.at(0).get<float>(), array.at(1).get<float>()};
  if (!std::isfinite(range.lo) || !std::isfinite(range.hi) || range.lo > 0 ||
      range.hi < 0) {
    throw std::invalid_argument("a range does not hold zero");
  }
  return range;
}

json ToJson(const Recipe& recipe) {
  json ranges = json::object();
  for (const auto& [name, range] : recipe.ranges) {
    ranges[name] = {{"affine", ToJson(range.affine)},
                    {"symmetric", ToJson(range.symmetric)}};
  }
  json equalizations = json::array();
  for (const Equalization& e : recipe.equalizations) {
    equalizations.push_back(
        {{"first", e.first}, {"second", e.second}, {"factors", e.factors}});
  }
  return {{"weight_bits", recipe.weight_bits},
          {"equalizations", equalizations},
          {"ranges", ranges},
          {"bias_shifts", recipe.bias_shifts},
          {"keep_float", recipe.keep_float}};
}

std::vector<float> ToFloats(const json& array) {
  auto floats = array.get<std::vector<float>>();
  for (float f : floats) {
    if (!std::isfinite(f)) throw std::invalid_argument("a number is infinite");
  }
  return floats;
}

Recipe ToRecipe(const json& object) {
  Recipe recipe;
  recipe.weight_bits = object.at("weight_bits").get<int>();
  if (recipe.weight_bits != 7 && recipe.weight_bits != 8) {
    throw std::invalid_argument("weight_bits is neither 7 nor 8");
  }
  for (const json& e : object.at("equalizations")) {
    recipe.equalizations.push_back({e.at("first").get<std::string>(),
                                    e.at("second").get<std::string>(),
                                    ToFloats(e.at("factors"))});
  }
  for (const auto& [name, range] : object.at("ranges").items()) {
    recipe.ranges[name] = {ToRange(range.at("affine")),
                           ToRange(range.at("symmetric"))};
  }
  for (const auto& [name, shifts] : object.at("bias_shifts").items()) {
    recipe.bias_shifts[name] = ToFloats(shifts);
  }
  recipe.keep_float =
      object.at("keep_float").get<std::map<std::string, std::string>>();
  return recipe;
}

}  // namespace

std::string ArtifactJson(const ModelInfo& model, const QuantizeOptions& options,
                         const std::string& shard, const Recipe& recipe) {
  return json{{"format", kFormat},
              {"model", {{"path", model.path}, {"sha256", model.sha256}}},
              {"calibration",
               {{"shard", shard},
                {"samples", options.samples},
                {"range_method", RangeMethodName(options.ranges.method)},
                {"percentile", options.ranges.percentile}}},
              {"libtorch", LibTorchVersion()},
              {"cpu", CpuSummary(Cpu())},
              {"recipe", ToJson(recipe)}}
      .dump(1);
}

absl::StatusOr<Artifact> ParseArtifact(const std::string& text) {
  // nlohmann::json reports through exceptions; this is where they end.
  try {
    const json object = json::parse(text);
    if (object.at("format").get<int>() != kFormat) {
      return absl::InvalidArgumentError("unknown format of quantserve.json");
    }
    Artifact artifact;
    artifact.model_sha256 = object.at("model").at("sha256").get<std::string>();
    artifact.recipe = ToRecipe(object.at("recipe"));
    return artifact;
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("quantserve.json is malformed: ", error.what()));
  }
}

absl::StatusOr<Plan> RebuildQuantizedPlan(const Plan& float_plan,
                                          const std::string& model_sha256,
                                          const std::string& text) {
  if (text.empty()) {
    return absl::FailedPreconditionError(
        "the INT8 file was not written by quantize_model");
  }
  QS_ASSIGN_OR_RETURN(const Artifact artifact, ParseArtifact(text));
  if (artifact.model_sha256 != model_sha256) {
    return absl::FailedPreconditionError(
        "the INT8 file was made from another model");
  }
  QS_ASSIGN_OR_RETURN(QuantizedPlan quantized,
                      QuantizePlan(float_plan, artifact.recipe, {}));
  return std::move(quantized.plan);
}

absl::StatusOr<int64_t> FileBytes(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) {
    return absl::NotFoundError(absl::StrCat("cannot read ", path));
  }
  return static_cast<int64_t>(size);
}

}  // namespace quantserve
