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
  *setup.request.add_inputs() = std::move(input->tensor);
  return setup;
}

absl::Status Failure(const Load& load) {
  if (load.failed == 0) return absl::OkStatus();
  return absl::Status(load.first_failure.code(),
                      absl::StrCat(load.failed, " calls failed, the first: ",
                                   load.first_failure.message()));
}

nlohmann::json AsJson(const std::string& variant, Load* load) {
  return {{"variant", variant},
          {"clients", ClientsFlag()},
          {"requests", load->latencies.size()},
          {"failed", load->failed},
          {"rate_per_second", load->Rate()},
          {"p50_ms", absl::ToDoubleMilliseconds(load->Percentile(0.5))},
          {"p90_ms", absl::ToDoubleMilliseconds(load->Percentile(0.9))},
          {"p99_ms", absl::ToDoubleMilliseconds(load->Percentile(0.99))}};
}

absl::Status RunBench(const Arguments&) {
  auto setup = Prepare();
  if (!setup.ok()) return setup.status();
  setup->request.set_variant(VariantFlag());
  Load load = SendLoad(setup->request, RequestsFlag());
  const std::string variant =
      VariantFlag().empty() ? setup->model.default_variant() : VariantFlag();
  if (setup->json) {
    std::printf("%s\n", AsJson(variant, &load).dump(2).c_str());
  } else {
    Table table({"variant", "clients", "answered", "failed", "calls/s", "p50",
                 "p90", "p99"});
    table.Add({variant, absl::StrCat(ClientsFlag()),
               absl::StrCat(load.latencies.size()), absl::StrCat(load.failed),
               absl::StrFormat("%.0f", load.Rate()),
               Milliseconds(load.Percentile(0.5)),
               Milliseconds(load.Percentile(0.9)),
               Milliseconds(load.Percentile(0.99))});
    std::fputs(table.Render().c_str(), stdout);
  }
  return Failure(load);
}

struct Contender {
  v1::VariantStatus status;
  Load load;
};

void PrintComparison(std::vector<Contender>* contenders, bool as_json) {
  Table table({"variant", "engine", "accuracy", "p50", "p99", "calls/s", "size",
               "speed-up"});
  nlohmann::json rows = nlohmann::json::array();
  const absl::Duration base = (*contenders)[0].load.Percentile(0.5);
  for (Contender& contender : *contenders) {
    const v1::VariantStatus& status = contender.status;
    const absl::Duration p50 = contender.load.Percentile(0.5);
    const double speedup =
        p50 > absl::ZeroDuration() ? absl::FDivDuration(base, p50) : 0;
    nlohmann::json row = AsJson(status.name(), &contender.load);
    row["engine"] = status.engine().name();
    row["size_bytes"] = status.size_bytes();
    row["speedup"] = speedup;
    if (status.evaluation().has_accuracy()) {
      row["accuracy"] = status.evaluation().accuracy();
    }
    rows.push_back(std::move(row));
    table.Add({status.name(), status.engine().name(),
               status.evaluation().has_accuracy()
                   ? Ratio(status.evaluation().accuracy())
                   : "-",
               Milliseconds(p50), Milliseconds(contender.load.Percentile(0.99)),
               absl::StrFormat("%.0f", contender.load.Rate()),
               Bytes(status.size_bytes()), absl::StrFormat("%.2fx", speedup)});
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
  PrintComparison(&contenders, setup->json);
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
           "Latency is what this client sees, from call to answer. The "
           "speed-up is that of\nthe median against the first variant.\n",
           0},
          RunCompare};
}

}  // namespace quantserve
