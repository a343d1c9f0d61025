#include "quant/pipeline/artifact.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "quant/base/cpu.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

using nlohmann::json;
constexpr int kFormat = 1;

json ToJson(const Range& range) { return json::array({range.lo, range.hi}); }

Range ToRange(const json& array) {
  const Range range{array.at(0).get<float>(), array.at(1).get<float>()};
  if (!std::isfinite(range.lo) || !std::isfinite(range.hi) || range.lo > 0 ||
      range.hi < 0) {
    throw std::invalid_argument("a range does not hold zero");
  }
  return range;
}

}  // namespace

std::string ArtifactJson(const ModelInfo& model, const QuantizeOptions& options,
                         const QuantizePlanOptions& quantize,
                         const std::string& shard, const RangeMap& ranges) {
  json by_name = json::object();
  for (const auto& [name, range] : ranges) {
    by_name[name] = {{"affine", ToJson(range.affine)},
                     {"symmetric", ToJson(range.symmetric)},
                     {"channel_mean", range.channel_mean}};
  }
  return json{{"format", kFormat},
              {"model", {{"path", model.path}, {"sha256", model.sha256}}},
              {"calibration",
               {{"shard", shard},
                {"samples", options.samples},
                {"range_method", RangeMethodName(options.ranges.method)},
                {"percentile", options.ranges.percentile}}},
              {"weight_bits", quantize.weight_bits},
              {"libtorch", LibTorchVersion()},
              {"cpu", CpuSummary(Cpu())},
              {"ranges", by_name}}
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
    artifact.weight_bits = object.at("weight_bits").get<int>();
    for (const auto& [name, range] : object.at("ranges").items()) {
      artifact.ranges[name] = {
          ToRange(range.at("affine")), ToRange(range.at("symmetric")),
          range.at("channel_mean").get<std::vector<float>>()};
    }
    if (artifact.weight_bits != 7 && artifact.weight_bits != 8) {
      return absl::InvalidArgumentError("quantserve.json has bad weight_bits");
    }
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
  QuantizePlanOptions options;
  options.weight_bits = artifact.weight_bits;
  QS_ASSIGN_OR_RETURN(QuantizedPlan quantized,
                      QuantizePlan(float_plan, artifact.ranges, options));
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
