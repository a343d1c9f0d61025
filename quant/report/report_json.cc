#include <cmath>
#include <nlohmann/json.hpp>

#include "quant/report/report.h"

namespace quantserve {
namespace {

// In the order of the document's fields.
using json = nlohmann::ordered_json;

json Number(double value) {
  return std::isfinite(value) ? json(value) : json(nullptr);
}

json Number(const std::optional<double>& value) {
  return value ? Number(*value) : json(nullptr);
}

json Microseconds(absl::Duration time) {
  return Number(absl::ToDoubleMicroseconds(time));
}

json Microseconds(const std::optional<absl::Duration>& time) {
  return time ? Microseconds(*time) : json(nullptr);
}

json Interval(const Range& range) {
  return {{"lo", Number(range.lo)}, {"hi", Number(range.hi)}};
}

json Activation(const std::optional<ActivationReport>& activation) {
  if (!activation) return nullptr;
  const ActivationHistogram& histogram = activation->histogram;
  return {{"range", Interval(activation->range)},
          {"scale", Number(activation->scale)},
          {"zero_point", activation->zero_point},
          {"clipped_share", Number(activation->clipped_share)},
          {"histogram",
           {{"bounds", Interval(histogram.bounds)},
            {"counts", histogram.counts},
            {"zeros", histogram.zeros}}}};
}

json Layer(const LayerReport& layer) {
  return {{"name", layer.name},
          {"op", layer.op},
          {"quantized", layer.quantized},
          {"reason", layer.reason},
          {"output_shape", layer.output_shape},
          {"macs", layer.macs},
          {"activation", Activation(layer.activation)},
          {"local_sqnr_db", Number(layer.local_sqnr_db)},
          {"cumulative_sqnr_db", Number(layer.cumulative_sqnr_db)},
          {"fp32_time_us", Microseconds(layer.fp32_time)},
          {"int8_time_us", Microseconds(layer.int8_time)}};
}

json Trial(const TrialReport& trial) {
  return {{"what", trial.what},
          {"sqnr_db", Number(trial.sqnr_db)},
          {"agreement", Number(trial.agreement)},
          {"accuracy", Number(trial.accuracy)},
          {"kept", trial.kept}};
}

json Variant(const VariantSummary& variant) {
  return {{"name", variant.name},
          {"engine", variant.engine},
          {"accuracy", Number(variant.accuracy)},
          {"agreement", Number(variant.agreement)},
          {"sqnr_db", Number(variant.sqnr_db)},
          {"latency_p50_us", Microseconds(variant.latency_p50)},
          {"latency_p99_us", Microseconds(variant.latency_p99)},
          {"size_bytes", variant.size_bytes}};
}

json Budget(const std::optional<BudgetReport>& budget) {
  if (!budget) return nullptr;
  return {{"wanted", budget->wanted},
          {"achieved", budget->achieved},
          {"reached", budget->reached}};
}

template <typename T, typename ToJson>
json Array(const std::vector<T>& items, const ToJson& to_json) {
  json array = json::array();
  for (const T& item : items) array.push_back(to_json(item));
  return array;
}

json Quantization(const QuantizationReport& report) {
  return {{"range_method", report.range_method},
          {"shard", report.shard},
          {"samples", report.samples},
          {"held_out", report.held_out},
          {"weight_bits", report.weight_bits},
          {"int8_macs_share", Number(report.int8_macs_share)},
          {"layers", Array(report.layers, Layer)},
          {"trials", Array(report.trials, Trial)},
          {"budget", Budget(report.budget)},
          {"notes", report.notes},
          {"digest", report.digest},
          {"artifact", report.artifact},
          {"phases", Array(report.phases, [](const auto& phase) {
             return json{{"name", phase.first},
                         {"time_us", Microseconds(phase.second)}};
           })}};
}

}  // namespace

std::string ReportJson(const ReportDocument& document) {
  const json object = {
      {"format", kReportFormat},
      {"title", document.title},
      {"model_path", document.model_path},
      {"model_sha256", document.model_sha256},
      {"shard_path", document.shard_path},
      {"shard_sha256", document.shard_sha256},
      {"evaluated_on", document.evaluated_on},
      {"facts",
       Array(document.facts,
             [](const auto& fact) {
               return json{{"name", fact.first}, {"value", fact.second}};
             })},
      {"variants", Array(document.variants, Variant)},
      {"quantization", Quantization(document.quantization)},
      {"created", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", document.created,
                                   absl::UTCTimeZone())}};
  // Names may hold bytes that are not UTF-8, which dump() would throw at.
  return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace quantserve
