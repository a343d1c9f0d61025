#include "server/rpc/report_document.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/cpu.h"
#include "quant/pipeline/report_document.h"
#include "quant/report/report.h"

namespace quantserve {
namespace {

// Both of these together fit into what client/client.h takes.
constexpr size_t kMaxBytes = 24 << 20;

VariantSummary Summary(const char* name, std::string engine,
                       const std::optional<Evaluation>& evaluation,
                       int64_t size_bytes) {
  VariantSummary summary;
  summary.name = name;
  summary.engine = std::move(engine);
  summary.size_bytes = size_bytes;
  if (!evaluation.has_value()) return summary;
  summary.accuracy = evaluation->accuracy;
  summary.latency_p50 = evaluation->latency_p50;
  summary.latency_p99 = evaluation->latency_p99;
  return summary;
}

// Nothing if it is too large, which the notes then say.
std::string Bounded(const char* what, std::string text,
                    v1::QuantizeResult* out) {
  if (text.size() <= kMaxBytes) return text;
  out->mutable_report()->add_notes(
      absl::StrCat("the report as ", what, " has ", text.size(),
                   " bytes, more than ", kMaxBytes, ": it is not sent"));
  return "";
}

}  // namespace

ReportDocument MakeReportDocument(const BuildFacts& build,
                                  const ModelHost& model,
                                  const QuantizationRun& run) {
  ReportDocument document;
  document.title = document.model_path = model.name();
  document.model_sha256 = model.info().sha256;
  document.shard_path = run.spec.shard;
  document.shard_sha256 = run.shard_sha256;
  document.evaluated_on =
      absl::StrCat(run.int8.has_value() ? run.int8->samples : 0, " samples of ",
                   run.evaluated_on);
  document.facts = {
      {"quantserve", build.version},
      {"compiler", build.compiler},
      {"LibTorch", build.libtorch_version},
      {"processor", absl::StrCat(Cpu().model, ", ", Cpu().cores, " cores")},
      {"outcome", run.published ? absl::StrCat("generation ", run.generation)
                  : run.status.ok() ? "dry run"
                  : WasRefused(run) ? std::string(run.status.message())
                                    : "failed"},
      {"gate", run.gate.has_value() ? run.gate->reason : ""}};
  for (auto& fact : OptionFacts(run.spec.options)) {
    document.facts.push_back(std::move(fact));
  }
  document.variants = {
      Summary("fp32", run.fp32_engine, run.fp32, run.fp32_size_bytes),
      Summary("int8", run.engine.has_value() ? run.engine->engine : "",
              run.int8, run.int8_size_bytes)};
  if (run.comparison.has_value()) {
    document.variants[1].agreement = run.comparison->agreement;
    document.variants[1].sqnr_db = run.comparison->sqnr_db;
  }
  if (run.report.has_value()) document.quantization = *run.report;
  document.created = run.started + run.duration;
  return document;
}

void EncodeDocument(const ReportDocument& document, v1::QuantizeResult* out) {
  out->set_report_html(Bounded("a page", ReportHtml(document), out));
  out->set_report_json(Bounded("JSON", ReportJson(document), out));
}

}  // namespace quantserve
