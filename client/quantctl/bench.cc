// bench and compare: rate and latency of one variant or several, and of each
// beside its accuracy and size.
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "client/quantctl/bench_report.h"
#include "client/quantctl/command.h"
#include "client/quantctl/input.h"
#include "client/quantctl/load_flags.h"
#include "client/quantctl/table.h"
#include "nlohmann/json.hpp"

namespace quantserve {
namespace {

constexpr int64_t kCompareRequests = 1000;

// What both need to know.
struct Setup {
  std::vector<MeasureOptions> points;
  std::unique_ptr<Client> client;
  v1::ModelStatus model;
  v1::PredictRequest request;
};

absl::StatusOr<Setup> Prepare(int64_t default_requests) {
  Setup setup;
  auto points = MeasureFlags(default_requests);
  if (!points.ok()) return points.status();
  setup.points = *std::move(points);
  auto client = Connect();
  if (!client.ok()) return client.status();
  setup.client = *std::move(client);
  auto model = AskForModel(setup.client.get());
  if (!model.ok()) return model.status();
  setup.model = *std::move(model);
  setup.request.set_model(setup.model.name());
  auto given = ReadInput(setup.model);
  if (!given.ok()) return given.status();
  AddInputs(given->has_value() ? **given : RandomInput(setup.model),
            &setup.request);
  return setup;
}

// A request that can't ever be answered ends the measurement before it starts.
absl::Status Probe(const v1::PredictRequest& request, Client* client) {
  const absl::Status status = client->Predict(request).status();
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
      return status;
    default:
      return absl::OkStatus();
  }
}

// The variants, each with its connections.
struct Dialled {
  std::vector<std::unique_ptr<Transport>> transports;
  std::vector<Contender> contenders;
};

absl::StatusOr<Dialled> DialVariants(const std::vector<std::string>& variants,
                                     Setup* setup) {
  Dialled dialled;
  for (const std::string& variant : variants) {
    setup->request.set_variant(variant);
    const absl::Status possible = Probe(setup->request, setup->client.get());
    if (!possible.ok()) return possible;
    auto transport = Dial(setup->request);
    if (!transport.ok()) return transport.status();
    dialled.transports.push_back(*std::move(transport));
    dialled.contenders.push_back(
        {variant.empty() ? setup->model.default_variant() : variant,
         dialled.transports.back().get()});
  }
  return dialled;
}

// Says on stderr how far it is, once it has taken two seconds.
OnWindow Progress(const char* command, const LoadOptions& load) {
  return [command, load, start = absl::Now()](const std::string& variant,
                                              int window, const Load& done) {
    if (absl::Now() - start < absl::Seconds(2)) return;
    absl::FPrintF(stderr, "quantctl %s: %s, %s, window %d: %.0f/s, p50 %s\n",
                  command, variant, LoadText(load), window, done.Goodput(),
                  Milliseconds(done.latency.Percentile(0.5)));
  };
}

absl::Status Print(const std::vector<BenchRow>& rows, Format format) {
  std::string text;
  if (format == Format::kTable) text = BenchTable(rows);
  if (format == Format::kCsv) text = BenchCsv(rows);
  if (format == Format::kJson) {
    nlohmann::json json = {{"rows", nlohmann::json::array()}};
    for (const BenchRow& row : rows) json["rows"].push_back(BenchJson(row));
    text = json.dump(2) + "\n";
  }
  std::fputs(text.c_str(), stdout);
  for (const BenchRow& row : rows) {
    const absl::Status failure = row.measured.load.Failure();
    if (!failure.ok()) return failure;
  }
  return absl::OkStatus();
}

std::vector<BenchRow> MeasurePoint(const char* command, const Dialled& dialled,
                                   const MeasureOptions& options) {
  const std::vector<Measurement> measured =
      Measure(dialled.contenders, options, Progress(command, options.load));
  std::vector<BenchRow> rows;
  for (size_t i = 0; i < measured.size(); ++i) {
    rows.push_back({dialled.contenders[i].name, options.load, ConnectionsFlag(),
                    StreamFlag(), measured[i]});
  }
  return rows;
}

absl::Status RunBench(const Arguments&) {
  const auto format = FormatFlag(true);
  if (!format.ok()) return format.status();
  auto setup = Prepare(0);
  if (!setup.ok()) return setup.status();
  const std::vector<std::string> variants = absl::StrSplit(VariantFlag(), ',');
  const auto dialled = DialVariants(variants, &*setup);
  if (!dialled.ok()) return dialled.status();
  std::vector<BenchRow> rows;
  for (const MeasureOptions& options : setup->points) {
    for (BenchRow& row : MeasurePoint("bench", *dialled, options)) {
      rows.push_back(std::move(row));
    }
  }
  return Print(rows, *format);
}

double SpeedUp(absl::Duration base, absl::Duration time) {
  return time > absl::ZeroDuration() ? absl::FDivDuration(base, time) : 0;
}

// Rows of medians, each beside the first row's.
void PrintComparison(const std::vector<v1::VariantStatus>& variants,
                     const std::vector<BenchRow>& measured, bool as_json) {
  Table table({"variant", "engine", "accuracy", "p50", "p99", "speed-up",
               "compute", "speed-up", "size"});
  nlohmann::json rows = nlohmann::json::array();
  const Load& first = measured[0].measured.load;
  for (size_t i = 0; i < variants.size(); ++i) {
    const v1::VariantStatus& status = variants[i];
    const Load& load = measured[i].measured.load;
    const absl::Duration p50 = load.latency.Percentile(0.5);
    const absl::Duration compute = load.compute.Percentile(0.5);
    const double faster = SpeedUp(first.latency.Percentile(0.5), p50);
    const double computes = SpeedUp(first.compute.Percentile(0.5), compute);
    nlohmann::json row = BenchJson(measured[i]);
    row["engine"] = status.engine().name();
    row["size_bytes"] = status.size_bytes();
    row["speedup"] = faster;
    row["compute_speedup"] = computes;
    std::string accuracy = "-";
    if (status.evaluation().has_accuracy()) {
      row["accuracy"] = status.evaluation().accuracy();
      accuracy = Ratio(status.evaluation().accuracy());
    }
    rows.push_back(std::move(row));
    table.Add({status.name(), status.engine().name(), accuracy,
               Milliseconds(p50), Milliseconds(load.latency.Percentile(0.99)),
               absl::StrFormat("%.2fx", faster), Milliseconds(compute),
               absl::StrFormat("%.2fx", computes), Bytes(status.size_bytes())});
  }
  if (as_json) {
    std::printf("%s\n", nlohmann::json{{"rows", rows}}.dump(2).c_str());
  } else {
    std::fputs(table.Render().c_str(), stdout);
  }
}

absl::Status RunCompare(const Arguments&) {
  const auto json = JsonRequested();
  if (!json.ok()) return json.status();
  auto setup = Prepare(kCompareRequests);
  if (!setup.ok()) return setup.status();
  std::vector<v1::VariantStatus> variants;
  std::vector<std::string> names;
  for (const v1::VariantStatus& variant : setup->model.variants()) {
    if (!variant.ready()) continue;
    variants.push_back(variant);
    names.push_back(variant.name());
  }
  if (variants.empty()) {
    return absl::FailedPreconditionError("no variant is ready");
  }
  const auto dialled = DialVariants(names, &*setup);
  if (!dialled.ok()) return dialled.status();
  const auto rows = MeasurePoint("compare", *dialled, setup->points[0]);
  PrintComparison(variants, rows, *json);
  for (const BenchRow& row : rows) {
    absl::Status failure = row.measured.load.Failure();
    if (!failure.ok()) return failure;
  }
  return absl::OkStatus();
}

}  // namespace

Command BenchCommand() {
  FlagGroup load = ClosedLoopFlags();
  load.flags.insert(load.flags.begin(), {"model", "variant"});
  return {
      "bench",
      {"Sends a load of Predict calls and prints rates, latencies and errors. "
       "Without an input it sends noise.",
       "quantctl bench [flags]",
       {load, OpenLoopFlags(), WindowFlags(), InputFlags(), CommonFlags()},
       "Latency runs from when a request was meant to be sent to its answer; "
       "queue, compute\nand batch are what the server says of itself.\n"
       "Examples:\n"
       "  quantctl bench --variant=fp32,int8 --clients=8\n"
       "  quantctl bench --rate=500:2000:500 --deadline=50ms --format=csv\n",
       0},
      RunBench};
}

Command CompareCommand() {
  FlagGroup load = ClosedLoopFlags();
  load.flags.insert(load.flags.begin(), "model");
  return {"compare",
          {"Sends Predict calls to each variant in turn and prints latency "
           "beside accuracy and size.",
           "quantctl compare [flags]",
           {load, InputFlags(), CommonFlags()},
           "p50 and p99 are what this client sees, from call to answer; "
           "compute is the median\nof what the server's worker spends on a "
           "request. Each speed-up is that of the\nmedian before it against "
           "the first variant's.\n",
           0},
          RunCompare};
}

}  // namespace quantserve
