#include "quant/pipeline/report_document.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "quant/base/cpu.h"
#include "quant/onednn/onednn_engine.h"

namespace quantserve {
namespace {

std::string SpecsText(const std::vector<TensorSpec>& specs) {
  return absl::StrJoin(specs, ", ", [](std::string* out, const TensorSpec& s) {
    absl::StrAppend(out, s.name, " ", ShapeString(s.shape),
                    s.integers ? " integers" : "");
  });
}

std::string BudgetText(const QuantizeOptions& options) {
  std::vector<std::string> parts;
  const auto add = [&parts](const char* name, std::optional<double> value) {
    if (value) parts.push_back(absl::StrCat(name, " ", *value));
  };
  add("max_drop", options.max_drop);
  add("min_sqnr_db", options.min_sqnr_db);
  add("min_speedup", options.min_speedup);
  return parts.empty() ? "none" : absl::StrJoin(parts, ", ");
}

}  // namespace

ReportDocument DescribeQuantization(const ModelPipeline& pipeline,
                                    const QuantizeOptions& options,
                                    const Shard& shard,
                                    const QuantizationReport& report) {
  const ModelInfo& info = pipeline.info();
  const ModelOptions& model = pipeline.options();
  ReportDocument document;
  document.title = std::filesystem::path(info.path).stem().string();
  document.model_path = info.path;
  document.model_sha256 = info.sha256;
  document.shard_path = shard.name();
  document.shard_sha256 = shard.sha256();
  document.quantization = report;
  document.created = absl::Now();
  auto& facts = document.facts;
  facts.emplace_back("Inputs", SpecsText(info.inputs));
  facts.emplace_back("Outputs", SpecsText(info.outputs));
  facts.emplace_back("Samples in the shard's source",
                     absl::StrCat(shard.population()));
  facts.emplace_back("Range method asked for",
                     RangeMethodName(options.ranges.method));
  facts.emplace_back("Bias correction asked for",
                     BiasCorrectionName(options.bias_correction));
  facts.emplace_back("Equalization asked for",
                     EqualizeModeName(options.equalize));
  facts.emplace_back("Budget asked for", BudgetText(options));
  facts.emplace_back("Engine asked for", EngineChoiceName(model.engine_choice));
  facts.emplace_back("Threads", absl::StrCat(model.engine.threads));
  facts.emplace_back("LibTorch", LibTorchVersion());
  facts.emplace_back("oneDNN", OneDnnVersion());
  facts.emplace_back("Processor", CpuSummary(Cpu()));
  return document;
}

VariantSummary Summarize(const std::string& name,
                         const CompiledVariant& variant,
                         const Evaluation& evaluation,
                         const std::optional<Comparison>& comparison) {
  VariantSummary row;
  row.name = name;
  row.engine = variant.engine->info().engine;
  row.accuracy = evaluation.accuracy;
  if (comparison) {
    row.agreement = comparison->agreement;
    row.sqnr_db = comparison->sqnr_db;
  }
  row.latency_p50 = evaluation.latency_p50;
  row.latency_p99 = evaluation.latency_p99;
  row.size_bytes = variant.size_bytes;
  return row;
}

}  // namespace quantserve
