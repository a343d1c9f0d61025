#include "client/quantctl/bench_report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/quantctl/table.h"

namespace quantserve {
namespace {

double Ms(absl::Duration duration) {
  return absl::ToDoubleMilliseconds(duration);
}

std::string CodeName(absl::StatusCode code) {
  return absl::StatusCodeToString(code);
}

// What the table has no column for.
std::vector<std::string> Notes(const BenchRow& row) {
  const Load& load = row.measured.load;
  std::vector<std::string> notes;
  for (const auto& [code, failures] : load.failures) {
    notes.push_back(absl::StrCat(
        failures.latency.count(), " ", CodeName(code), " (after p50 ",
        Milliseconds(failures.latency.Percentile(0.5)), ", p99 ",
        Milliseconds(failures.latency.Percentile(0.99)),
        "), the first: ", failures.first.message()));
  }
  if (!row.measured.stable) {
    notes.push_back(absl::StrCat("not stable after ", row.measured.windows,
                                 " windows; of the last three"));
  }
  if (load.sent_late > 0) {
    notes.push_back(absl::StrCat(
        load.sent_late, " were sent more than ",
        absl::FormatDuration(Load::kLate), " late, the worst ",
        Milliseconds(load.worst_lag), "; their latency has it in it"));
  }
  if (load.not_sent > 0) {
    notes.push_back(absl::StrCat(
        load.not_sent, " were never sent and are in no percentile: ",
        row.load.max_outstanding, " were unanswered (--max_outstanding)"));
  }
  return notes;
}

}  // namespace

std::string LoadText(const LoadOptions& load) {
  if (load.rate <= 0) {
    return absl::StrCat(load.clients,
                        load.clients == 1 ? " client" : " clients");
  }
  return absl::StrFormat(
      "%g/s %s", load.rate,
      load.arrivals == ArrivalProcess::kPoisson ? "poisson" : "constant");
}

std::string BenchTable(const std::vector<BenchRow>& rows) {
  Table table({"variant", "load", "sent/s", "ok/s", "failed", "p50", "p90",
               "p99", "p99.9", "queue p50", "compute p50", "batch"});
  std::string notes;
  for (const BenchRow& row : rows) {
    const Load& load = row.measured.load;
    const LatencyHistogram& latency = load.latency;
    table.Add({row.variant, LoadText(row.load),
               absl::StrFormat("%.0f", load.Throughput()),
               absl::StrFormat("%.0f", load.Goodput()),
               absl::StrCat(load.failed()),
               Milliseconds(latency.Percentile(0.5)),
               Milliseconds(latency.Percentile(0.9)),
               Milliseconds(latency.Percentile(0.99)),
               Milliseconds(latency.Percentile(0.999)),
               Milliseconds(load.queue.Percentile(0.5)),
               Milliseconds(load.compute.Percentile(0.5)),
               absl::StrFormat("%.2f", load.MeanBatch())});
    for (const std::string& note : Notes(row)) {
      absl::StrAppend(&notes, row.variant, ", ", LoadText(row.load), ": ", note,
                      "\n");
    }
  }
  return absl::StrCat(table.Render(), notes);
}

nlohmann::json BenchJson(const BenchRow& row) {
  const Load& load = row.measured.load;
  nlohmann::json json = {{"variant", row.variant},
                         {"loop", row.load.rate > 0 ? "open" : "closed"},
                         {"connections", row.connections},
                         {"transport", row.stream ? "stream" : "unary"},
                         {"windows", row.measured.windows},
                         {"stable", row.measured.stable},
                         {"seconds", absl::ToDoubleSeconds(load.time)},
                         {"requests", load.succeeded()},
                         {"failed", load.failed()},
                         {"sent_late", load.sent_late},
                         {"worst_lag_ms", Ms(load.worst_lag)},
                         {"not_sent", load.not_sent},
                         {"offered_per_second", load.Offered()},
                         {"throughput_per_second", load.Throughput()},
                         {"goodput_per_second", load.Goodput()},
                         {"p50_ms", Ms(load.latency.Percentile(0.5))},
                         {"p90_ms", Ms(load.latency.Percentile(0.9))},
                         {"p99_ms", Ms(load.latency.Percentile(0.99))},
                         {"p99_9_ms", Ms(load.latency.Percentile(0.999))},
                         {"max_ms", Ms(load.latency.max())},
                         {"queue_p50_ms", Ms(load.queue.Percentile(0.5))},
                         {"queue_p99_ms", Ms(load.queue.Percentile(0.99))},
                         {"compute_p50_ms", Ms(load.compute.Percentile(0.5))},
                         {"compute_p99_ms", Ms(load.compute.Percentile(0.99))},
                         {"batch_mean", load.MeanBatch()},
                         {"batches", nlohmann::json::array()},
                         {"errors", nlohmann::json::object()}};
  if (row.load.rate > 0) {
    json["rate"] = row.load.rate;
    json["arrivals"] =
        row.load.arrivals == ArrivalProcess::kPoisson ? "poisson" : "constant";
  } else {
    json["clients"] = row.load.clients;
  }
  for (const auto& [size, batch] : load.batches) {
    json["batches"].push_back(
        {{"size", size},
         {"answers", batch.compute.count()},
         {"compute_p50_ms", Ms(batch.compute.Percentile(0.5))}});
  }
  for (const auto& [code, failures] : load.failures) {
    json["errors"][CodeName(code)] = {
        {"count", failures.latency.count()},
        {"p50_ms", Ms(failures.latency.Percentile(0.5))},
        {"p99_ms", Ms(failures.latency.Percentile(0.99))},
        {"first", std::string(failures.first.message())}};
  }
  return json;
}

std::string BenchCsv(const std::vector<BenchRow>& rows) {
  static constexpr const char* kColumns[] = {"variant",
                                             "loop",
                                             "clients",
                                             "rate",
                                             "arrivals",
                                             "connections",
                                             "transport",
                                             "windows",
                                             "stable",
                                             "seconds",
                                             "requests",
                                             "failed",
                                             "sent_late",
                                             "worst_lag_ms",
                                             "not_sent",
                                             "offered_per_second",
                                             "throughput_per_second",
                                             "goodput_per_second",
                                             "p50_ms",
                                             "p90_ms",
                                             "p99_ms",
                                             "p99_9_ms",
                                             "max_ms",
                                             "queue_p50_ms",
                                             "queue_p99_ms",
                                             "compute_p50_ms",
                                             "compute_p99_ms",
                                             "batch_mean"};
  std::string text = absl::StrCat(absl::StrJoin(kColumns, ","), ",errors\n");
  for (const BenchRow& row : rows) {
    const nlohmann::json json = BenchJson(row);
    for (const char* column : kColumns) {
      const auto at = json.find(column);
      if (at != json.end()) {
        absl::StrAppend(&text,
                        at->is_string() ? at->get<std::string>() : at->dump());
      }
      text += ',';
    }
    std::vector<std::string> errors;
    for (const auto& [code, failures] : row.measured.load.failures) {
      errors.push_back(
          absl::StrCat(CodeName(code), ":", failures.latency.count()));
    }
    absl::StrAppend(&text, absl::StrJoin(errors, ";"), "\n");
  }
  return text;
}

}  // namespace quantserve
