// bench and compare: the latency of one variant, or of each beside its accuracy
// and size.
#include <cstdio>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/quantctl/command.h"
#include "client/quantctl/input.h"
#include "client/quantctl/load.h"
#include "client/quantctl/table.h"
#include "nlohmann/json.hpp"

namespace quantserve {
namespace {

// What both need to know.
struct Setup {
  bool json = false;
  v1::ModelStatus model;
  v1::PredictRequest request;
};

absl::StatusOr<Setup> Prepare() {
  Setup setup;
  const auto json = JsonRequested();
  if (!json.ok()) return json.status();
  setup.json = *json;
  const absl::Status flags = CheckLoadFlags();
  if (!flags.ok()) return flags;
  const auto client = Connect();
  if (!client.ok()) return client.status();
  const auto status = (*client)->GetStatus();
  if (!status.ok()) return status.status();
  auto model = OnlyModel(*status);
  if (!model.ok()) return model.status();
  setup.model = *std::move(model);
  auto input = LoadInput(setup.model);
  if (!input.ok()) return input.status();
  AddInputs(*input, &setup.request);
  return setup;
}

absl::Status Failure(const Load& load) {
  if (load.failed == 0) return absl::OkStatus();
  return absl::Status(load.first_failure.code(),
                      absl::StrCat(load.failed, " calls failed, the first: ",
                                   load.first_failure.message()));
}

nlohmann::json AsJson(const std::string& variant, const Load& load) {
  return {
      {"variant", variant},
      {"clients", ClientsFlag()},
      {"requests", load.latencies.size()},
      {"failed", load.failed},
      {"rate_per_second", load.Rate()},
      {"p50_ms", absl::ToDoubleMilliseconds(Percentile(load.latencies, 0.5))},
      {"p90_ms", absl::ToDoubleMilliseconds(Percentile(load.latencies, 0.9))},
      {"compute_p50_ms",
       absl::ToDoubleMilliseconds(Percentile(load.compute, 0.5))},
      {"p99_ms", absl::ToDoubleMilliseconds(Percentile(load.latencies, 0.99))}};
}

absl::Status RunBench(const Arguments&) {
  auto setup = Prepare();
  if (!setup.ok()) return setup.status();
  setup->request.set_variant(VariantFlag());
  const Load load = SendLoad(setup->request, RequestsFlag());
  const std::string variant =
      VariantFlag().empty() ? setup->model.default_variant() : VariantFlag();
  if (setup->json) {
    std::printf("%s\n", AsJson(variant, load).dump(2).c_str());
  } else {
    Table table({"variant", "clients", "answered", "failed", "calls/s", "p50",
                 "p90", "p99"});
    table.Add({variant, absl::StrCat(ClientsFlag()),
               absl::StrCat(load.latencies.size()), absl::StrCat(load.failed),
               absl::StrFormat("%.0f", load.Rate()),
               Milliseconds(Percentile(load.latencies, 0.5)),
               Milliseconds(Percentile(load.latencies, 0.9)),
               Milliseconds(Percentile(load.latencies, 0.99))});
    std::fputs(table.Render().c_str(), stdout);
  }
  return Failure(load);
}

struct Contender {
  v1::VariantStatus status;
  Load load;
};

double SpeedUp(absl::Duration base, absl::Duration time) {
  return time > absl::ZeroDuration() ? absl::FDivDuration(base, time) : 0;
}

// Rows of medians, each beside the first row's.
void PrintComparison(const std::vector<Contender>& contenders, bool as_json) {
  Table table({"variant", "engine", "accuracy", "p50", "p99", "speed-up",
               "compute", "speed-up", "size"});
  nlohmann::json rows = nlohmann::json::array();
  const Load& first = contenders[0].load;
  for (const Contender& contender : contenders) {
    const v1::VariantStatus& status = contender.status;
    const Load& load = contender.load;
    const absl::Duration p50 = Percentile(load.latencies, 0.5);
    const absl::Duration compute = Percentile(load.compute, 0.5);
    const double faster = SpeedUp(Percentile(first.latencies, 0.5), p50);
    const double computes = SpeedUp(Percentile(first.compute, 0.5), compute);
    nlohmann::json row = AsJson(status.name(), load);
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
               Milliseconds(p50),
               Milliseconds(Percentile(load.latencies, 0.99)),
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
  auto setup = Prepare();
  if (!setup.ok()) return setup.status();
  std::vector<Contender> contenders;
  for (const v1::VariantStatus& variant : setup->model.variants()) {
    if (variant.ready()) contenders.push_back({variant, {}});
  }
  if (contenders.empty()) {
    return absl::FailedPreconditionError("no variant is ready");
  }
  // In turn, so that whatever else the machine does hits all alike.
  constexpr int64_t kRounds = 5;
  for (int64_t round = 0; round < kRounds; ++round) {
    const int64_t count = (RequestsFlag() * (round + 1)) / kRounds -
                          (RequestsFlag() * round) / kRounds;
    for (Contender& contender : contenders) {
      setup->request.set_variant(contender.status.name());
      contender.load.Add(SendLoad(setup->request, count));
    }
  }
  PrintComparison(contenders, setup->json);
  for (const Contender& contender : contenders) {
    absl::Status failure = Failure(contender.load);
    if (!failure.ok()) return failure;
  }
  return absl::OkStatus();
}

}  // namespace

Command BenchCommand() {
  FlagGroup load = LoadFlags();
  load.flags.push_back("variant");
  return {"bench",
          {"Sends many Predict calls and prints their rate and latency. "
           "Without an input it sends noise.",
           "quantctl bench [flags]",
           {load, InputFlags(), CommonFlags()},
           "Example:\n  quantctl bench --variant=int8 --clients=4 "
           "--requests=5000\n",
           0},
          RunBench};
}

Command CompareCommand() {
  return {"compare",
          {"Sends Predict calls to each variant in turn and prints latency "
           "beside accuracy and size.",
           "quantctl compare [flags]",
           {LoadFlags(), InputFlags(), CommonFlags()},
           "p50 and p99 are what this client sees, from call to answer; "
           "compute is the median\nof what the server's worker spends on a "
           "request. Each speed-up is that of the\nmedian before it against "
           "the first variant's.\n",
           0},
          RunCompare};
}

}  // namespace quantserve
