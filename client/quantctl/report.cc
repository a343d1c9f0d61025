#include "client/quantctl/report.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/quantctl/table.h"
#include "client/wire_time.h"

namespace quantserve {
namespace {

std::string Accuracy(const v1::Evaluation& evaluation) {
  return evaluation.has_accuracy() ? Ratio(evaluation.accuracy()) : "-";
}

std::string Decibels(double db) { return absl::StrFormat("%.2f dB", db); }

std::vector<std::string> EvaluationCells(const v1::Evaluation& evaluation) {
  return {Accuracy(evaluation),
          Milliseconds(FromWire(evaluation.latency_p50())),
          Milliseconds(FromWire(evaluation.latency_p99()))};
}

void AppendNotes(const v1::EngineStatus& engine, std::string* text) {
  for (const v1::EngineTiming& candidate : engine.candidates()) {
    absl::StrAppend(
        text, "  ", engine.precision(), " on ", candidate.engine(), ": ",
        candidate.has_latency() ? Milliseconds(FromWire(candidate.latency()))
                                : "not timed",
        candidate.rejected().empty()
            ? ", chosen"
            : absl::StrCat(", not chosen: ", candidate.rejected()),
        "\n");
  }
  if (engine.islands_size() > 0) {
    absl::StrAppend(text, "  ", engine.precision(), ", left to LibTorch: ",
                    absl::StrJoin(engine.islands(), ", "), "\n");
  }
  for (const std::string& note : engine.notes()) {
    absl::StrAppend(text, "  ", engine.precision(), ": ", note, "\n");
  }
}

void AppendLayers(const v1::QuantizationReport& report, std::string* text) {
  Table table({"layer", "operator", "form", "why"});
  for (const v1::LayerReport& layer : report.layers()) {
    table.Add({layer.name(), layer.op(), layer.quantized() ? "int8" : "fp32",
               layer.reason()});
  }
  absl::StrAppend(text, table.Render());
}

void AppendRollout(const v1::ModelStatus& model, std::string* text) {
  absl::StrAppend(text, "routing: ", RoutingText(model.routing()), "\n");
  if (model.has_candidate()) {
    absl::StrAppend(text, "candidate: int8 generation ",
                    model.candidate().generation(),
                    ", gate: ", model.candidate().gate().reason(), "\n");
  }
  if (model.shadows_size() == 0) return;
  Table table({"answered", "generation", "shadow", "generation", "samples",
               "agreement", "sqnr", "dropped"});
  for (const v1::ShadowComparison& shadow : model.shadows()) {
    table.Add(
        {shadow.variant(), absl::StrCat(shadow.generation()),
         absl::StrCat(shadow.shadow(), shadow.candidate() ? " candidate" : ""),
         absl::StrCat(shadow.shadow_generation()),
         absl::StrCat(shadow.samples()),
         shadow.has_comparison() ? Ratio(shadow.comparison().agreement()) : "-",
         shadow.has_comparison() ? Decibels(shadow.comparison().sqnr_db())
                                 : "-",
         absl::StrCat(shadow.dropped())});
  }
  absl::StrAppend(text, table.Render());
}

std::string Outcome(const v1::QuantizeResult& result) {
  if (result.published()) {
    return absl::StrCat("published as generation ", result.generation());
  }
  if (result.held()) {
    return absl::StrCat("kept as candidate generation ", result.generation());
  }
  if (!result.error().empty()) return "not published";
  return result.dry_run() ? "dry run, not published" : "not published";
}

}  // namespace

std::string RoutingText(const v1::Routing& routing) {
  return absl::StrFormat(
      "int8 gets %d %% of the requests that name no variant, %d %% of all are "
      "shadowed",
      routing.int8_percent(), routing.shadow_percent());
}

std::string QuantizeText(const v1::QuantizeResult& result, bool layers) {
  const v1::QuantizationReport& report = result.report();
  int64_t quantized = 0;
  for (const v1::LayerReport& layer : report.layers()) {
    quantized += layer.quantized() ? 1 : 0;
  }
  std::string text = absl::StrFormat(
      "%s in %s: %d samples of %s, ranges by %s, %d of %d layers in INT8, "
      "%.1f%% "
      "of the compute\n",
      Outcome(result), Milliseconds(FromWire(result.duration())),
      report.samples(), report.shard(), report.range_method(), quantized,
      report.layers_size(), 100 * report.int8_macs_share());
  Table table({"variant", "accuracy", "p50", "p99", "size"});
  for (const bool int8 : {false, true}) {
    std::vector<std::string> row = {int8 ? "int8" : "fp32"};
    for (std::string& cell :
         EvaluationCells(int8 ? result.int8() : result.fp32())) {
      row.push_back(std::move(cell));
    }
    row.push_back(
        Bytes(int8 ? result.int8_size_bytes() : result.fp32_size_bytes()));
    table.Add(std::move(row));
  }
  absl::StrAppend(&text, table.Render());
  absl::StrAppend(&text, "agreement ", Ratio(result.comparison().agreement()),
                  ", SQNR ", Decibels(result.comparison().sqnr_db()), " on ",
                  result.int8().samples(), " samples of ",
                  result.int8().shard(), "\n");
  absl::StrAppend(&text, "gate ", result.gate().passed() ? "passed" : "refused",
                  ": ", result.gate().reason(), "\n");
  std::vector<std::string> phases;
  for (const v1::PhaseDuration& phase : report.phases()) {
    phases.push_back(absl::StrCat(phase.phase(), " ",
                                  Milliseconds(FromWire(phase.duration()))));
  }
  absl::StrAppend(&text, "phases: ", absl::StrJoin(phases, ", "), "\n");
  if (!report.digest().empty()) {
    absl::StrAppend(&text, "recipe ", report.digest().substr(0, 12), " ",
                    report.artifact() == "loaded"
                        ? "loaded"
                        : absl::StrCat("calibrated: ", report.artifact()),
                    "\n");
  }
  if (report.has_budget()) {
    absl::StrAppend(
        &text, "budget ", report.budget().reached() ? "kept" : "not reachable",
        ": ", report.budget().wanted(), ", ", report.budget().achieved(), "\n");
  }
  for (const std::string& note : report.notes()) {
    absl::StrAppend(&text, "note: ", note, "\n");
  }
  AppendNotes(result.engine(), &text);
  if (layers) AppendLayers(report, &text);
  return text;
}

std::string QuantizeLine(const v1::QuantizeResult& result) {
  const v1::QuantizationReport& report = result.report();
  return absl::StrCat(Outcome(result), " in ",
                      Milliseconds(FromWire(result.duration())), ", recipe ",
                      report.digest().substr(0, 12), " ",
                      report.artifact() == "loaded" ? "loaded" : "calibrated",
                      ", gate ", result.gate().passed() ? "passed" : "refused",
                      ": ", result.gate().reason(), "\n");
}

std::string StatusText(const v1::GetStatusResponse& status) {
  const v1::ServerStatus& server = status.server();
  std::string text = absl::StrFormat(
      "quantserve %s, %s; %s, %d cores; %d workers, queue %d of %d\n",
      server.version(), server.ready() ? "ready" : "not ready",
      server.cpu().model(), server.cpu().cores(), server.workers(),
      server.queue_depth(), server.queue_capacity());
  if (server.has_memory()) {
    absl::StrAppend(&text, "memory ", Bytes(server.memory().resident_bytes()),
                    ", of it private ", Bytes(server.memory().private_bytes()),
                    "; peak ", Bytes(server.memory().peak_resident_bytes()),
                    "\n");
  }
  for (const v1::ModelStatus& model : status.models()) {
    std::vector<std::string> shape;
    if (model.inputs_size() > 0) {
      for (int64_t dim : model.inputs(0).shape()) {
        shape.push_back(absl::StrCat(dim));
      }
    }
    absl::StrAppend(
        &text, "model ", model.name(), ", input [", absl::StrJoin(shape, ","),
        "], default variant ",
        model.default_variant().empty() ? "none" : model.default_variant(),
        ", shards: ",
        model.shards_size() == 0 ? "none" : absl::StrJoin(model.shards(), ", "),
        "\n");
    Table table({"variant", "generation", "engine", "accuracy", "p50", "p99",
                 "size", "in memory", "agreement", "sqnr"});
    std::string notes;
    for (const v1::VariantStatus& variant : model.variants()) {
      if (!variant.ready()) {
        absl::StrAppend(&notes, "  ", variant.name(),
                        " is not served: ", variant.unavailable_reason(), "\n");
        table.Add({variant.name(), "-"});
        continue;
      }
      std::vector<std::string> row = {variant.name(),
                                      absl::StrCat(variant.generation()),
                                      variant.engine().name()};
      for (std::string& cell : EvaluationCells(variant.evaluation())) {
        row.push_back(std::move(cell));
      }
      row.push_back(Bytes(variant.size_bytes()));
      row.push_back(Bytes(variant.engine().weight_bytes() +
                          server.workers() * variant.engine().context_bytes()));
      if (variant.has_comparison()) {
        row.push_back(Ratio(variant.comparison().agreement()));
        row.push_back(Decibels(variant.comparison().sqnr_db()));
      }
      table.Add(std::move(row));
      AppendNotes(variant.engine(), &notes);
      if (variant.has_gate()) {
        absl::StrAppend(&notes, "  ", variant.name(),
                        ", gate: ", variant.gate().reason(), "\n");
      }
    }
    absl::StrAppend(&text, table.Render(), notes);
    AppendRollout(model, &text);
    if (model.has_running_job()) {
      const v1::JobStatus& job = model.running_job();
      absl::StrAppend(&text, "running: ", job.name(), ", ",
                      job.progress().phase(), " ", job.progress().done(), "/",
                      job.progress().total(), "\n");
    }
    if (!model.last_quantization().error().empty()) {
      absl::StrAppend(&text, "last quantization failed: ",
                      model.last_quantization().error(), "\n");
    }
  }
  return text;
}

std::string EvaluateText(const v1::EvaluateResponse& response) {
  const v1::Evaluation& evaluation = response.evaluation();
  Table table(
      {"variant", "generation", "accuracy", "p50", "p99", "agreement", "sqnr"});
  std::vector<std::string> row = {response.variant(),
                                  absl::StrCat(response.generation())};
  for (std::string& cell : EvaluationCells(evaluation)) {
    row.push_back(std::move(cell));
  }
  if (response.has_comparison()) {
    row.push_back(Ratio(response.comparison().agreement()));
    row.push_back(Decibels(response.comparison().sqnr_db()));
  }
  table.Add(std::move(row));
  return absl::StrCat(evaluation.samples(), " samples of ", evaluation.shard(),
                      "\n", table.Render());
}

}  // namespace quantserve
