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

std::string Wanted(const std::optional<double>& value) {
  return value ? absl::StrCat(*value) : "any";
}

}  // namespace

std::vector<std::pair<std::string, std::string>> OptionFacts(
    const QuantizeOptions& options) {
  return {{"Range method asked for", RangeMethodName(options.ranges.method)},
          {"Bias correction asked for",
           BiasCorrectionName(options.bias_correction)},
          {"Equalization asked for", EqualizeModeName(options.equalize)},
          {"Layers to keep in FP32",
           options.keep_fp32.empty() ? "none"
                                     : absl::StrJoin(options.keep_fp32, ", ")},
          {"Most drop", Wanted(options.max_drop)},
          {"Least SQNR, dB", Wanted(options.min_sqnr_db)},
          {"Least speed-up", Wanted(options.min_speedup)}};
}

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
  for (auto& fact : OptionFacts(options)) facts.push_back(std::move(fact));
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
