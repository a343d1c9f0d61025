// The report as JSON: what an optional value has not is not written.
#include <algorithm>
#include <limits>

#include "quant/pipeline/artifact_json.h"

namespace quantserve {
namespace {

using nlohmann::json;

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

void SetNumber(json* object, const char* key,
               const std::optional<double>& value) {
  if (value.has_value()) (*object)[key] = AnyNumber(*value);
}

std::optional<double> OptionalNumber(const JsonField& field, const char* key) {
  const auto member = field.Find(key);
  if (!member.has_value()) return std::nullopt;
  return member->AnyNumber();
}

void SetTime(json* object, const char* key,
             const std::optional<absl::Duration>& time) {
  if (time.has_value()) (*object)[key] = absl::ToInt64Nanoseconds(*time);
}

std::optional<absl::Duration> OptionalTime(const JsonField& field,
                                           const char* key) {
  const auto member = field.Find(key);
  if (!member.has_value()) return std::nullopt;
  return absl::Nanoseconds(member->Integer(0, kMost));
}

// Neighbouring bins added up until there are few enough.
std::vector<int64_t> Coarse(const std::vector<int64_t>& counts) {
  const size_t each = (counts.size() + kMaxHistogramBins - 1) /
                      static_cast<size_t>(kMaxHistogramBins);
  if (each <= 1) return counts;
  std::vector<int64_t> coarse((counts.size() + each - 1) / each);
  for (size_t i = 0; i < counts.size(); ++i) coarse[i / each] += counts[i];
  return coarse;
}

json ActivationToJson(const ActivationReport& activation) {
  json object{{"lo", activation.range.lo},
              {"hi", activation.range.hi},
              {"scale", activation.scale},
              {"zero_point", activation.zero_point},
              {"clipped_share", AnyNumber(activation.clipped_share)}};
  const ActivationHistogram& histogram = activation.histogram;
  if (!histogram.counts.empty()) {
    object["histogram"] = {{"lo", histogram.bounds.lo},
                           {"hi", histogram.bounds.hi},
                           {"counts", Coarse(histogram.counts)},
                           {"zeros", histogram.zeros}};
  }
  return object;
}

ActivationReport ActivationFromJson(const JsonField& field) {
  ActivationReport activation;
  activation.range = {field["lo"].Float(), field["hi"].Float()};
  activation.scale = field["scale"].Float();
  activation.zero_point = static_cast<int>(field["zero_point"].Integer(0, 255));
  activation.clipped_share = field["clipped_share"].AnyNumber();
  if (const auto histogram = field.Find("histogram")) {
    ActivationHistogram& out = activation.histogram;
    out.bounds = {(*histogram)["lo"].Float(), (*histogram)["hi"].Float()};
    for (const JsonField& count : (*histogram)["counts"].Items()) {
      out.counts.push_back(count.Integer(0, kMost));
    }
    if (out.counts.empty() || out.counts.size() > kMaxHistogramBins) {
      histogram->Fail("has too many bins, or none");
    }
    out.zeros = (*histogram)["zeros"].Integer(0, kMost);
  }
  return activation;
}

json LayerToJson(const LayerReport& layer) {
  json object{{"name", layer.name},
              {"op", layer.op},
              {"quantized", layer.quantized},
              {"reason", layer.reason},
              {"output_shape", layer.output_shape},
              {"macs", layer.macs}};
  if (layer.activation.has_value()) {
    object["activation"] = ActivationToJson(*layer.activation);
  }
  SetNumber(&object, "local_sqnr_db", layer.local_sqnr_db);
  SetNumber(&object, "cumulative_sqnr_db", layer.cumulative_sqnr_db);
  SetTime(&object, "fp32_ns", layer.fp32_time);
  SetTime(&object, "int8_ns", layer.int8_time);
  return object;
}

LayerReport LayerFromJson(const JsonField& field) {
  LayerReport layer;
  layer.name = field["name"].Text();
  layer.op = field["op"].Text();
  layer.quantized = field["quantized"].Bool();
  layer.reason = field["reason"].Text();
  for (const JsonField& dimension : field["output_shape"].Items()) {
    layer.output_shape.push_back(dimension.Integer(0, kMost));
  }
  layer.macs = field["macs"].Integer(0, kMost);
  if (const auto activation = field.Find("activation")) {
    layer.activation = ActivationFromJson(*activation);
  }
  layer.local_sqnr_db = OptionalNumber(field, "local_sqnr_db");
  layer.cumulative_sqnr_db = OptionalNumber(field, "cumulative_sqnr_db");
  layer.fp32_time = OptionalTime(field, "fp32_ns");
  layer.int8_time = OptionalTime(field, "int8_ns");
  return layer;
}

json TrialToJson(const TrialReport& trial) {
  json object{{"what", trial.what},
              {"sqnr_db", AnyNumber(trial.sqnr_db)},
              {"agreement", AnyNumber(trial.agreement)},
              {"kept", trial.kept}};
  SetNumber(&object, "accuracy", trial.accuracy);
  return object;
}

TrialReport TrialFromJson(const JsonField& field) {
  TrialReport trial;
  trial.what = field["what"].Text();
  trial.sqnr_db = field["sqnr_db"].AnyNumber();
  trial.agreement = field["agreement"].AnyNumber();
  trial.kept = field["kept"].Bool();
  trial.accuracy = OptionalNumber(field, "accuracy");
  return trial;
}

}  // namespace

json ToJson(const QuantizationReport& report) {
  json object{{"range_method", report.range_method},
              {"shard", report.shard},
              {"samples", report.samples},
              {"held_out", report.held_out},
              {"weight_bits", report.weight_bits},
              {"int8_macs_share", AnyNumber(report.int8_macs_share)},
              {"layers", json::array()},
              {"trials", json::array()},
              {"notes", report.notes}};
  for (const LayerReport& layer : report.layers) {
    object["layers"].push_back(LayerToJson(layer));
  }
  for (const TrialReport& trial : report.trials) {
    object["trials"].push_back(TrialToJson(trial));
  }
  if (report.budget.has_value()) {
    object["budget"] = {{"wanted", report.budget->wanted},
                        {"achieved", report.budget->achieved},
                        {"reached", report.budget->reached}};
  }
  return object;
}

QuantizationReport ReportFromJson(const JsonField& field) {
  QuantizationReport report;
  report.range_method = field["range_method"].Text();
  report.shard = field["shard"].Text();
  report.samples = field["samples"].Integer(0, kMost);
  report.held_out = field["held_out"].Integer(0, kMost);
  report.weight_bits = static_cast<int>(field["weight_bits"].Integer(7, 8));
  report.int8_macs_share = field["int8_macs_share"].AnyNumber();
  for (const JsonField& layer : field["layers"].Items()) {
    report.layers.push_back(LayerFromJson(layer));
  }
  for (const JsonField& trial : field["trials"].Items()) {
    report.trials.push_back(TrialFromJson(trial));
  }
  if (const auto budget = field.Find("budget")) {
    report.budget =
        BudgetReport{(*budget)["wanted"].Text(), (*budget)["achieved"].Text(),
                     (*budget)["reached"].Bool()};
  }
  for (const JsonField& note : field["notes"].Items()) {
    report.notes.push_back(note.Text());
  }
  return report;
}

}  // namespace quantserve
