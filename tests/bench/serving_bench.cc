// The service against what the same processors can do at most, all in one run:
//   serving_bench [--window=1s] [--rounds=5] [--out=serving_bench.json]
//
// Everything that is compared takes turns, so that ratios hold on a machine
// that does other things, too. ResNet-20 of QUANTSERVE_SHARED_DIR, else the
// demo's model. Targets that are missed are no errors: the exit code tells
// whether it ran.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "client/cli/command_line.h"
#include "client/load/generator.h"
#include "client/load/transport.h"
#include "quant/base/cpu.h"
#include "quant/base/status_macros.h"
#include "tests/bench/direct_engine.h"
#include "tests/bench/echo_server.h"
#include "tests/bench/findings.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/http_get.h"

ABSL_FLAG(absl::Duration, window, absl::Seconds(1),
          "How long each thing is measured in each round.");
ABSL_FLAG(int32_t, rounds, 5, "Rounds; the median counts.");
ABSL_FLAG(std::string, out, "", "JSON file for the findings.");

namespace quantserve::bench {
namespace {

constexpr int kClients[] = {8, 16, 32, 64, 128};
constexpr int kConnections = 2;
constexpr int kStreams = 8;  // of each connection

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

void Say(const std::string& what) {
  std::fprintf(stderr, "serving_bench: %s\n", what.c_str());
}

LoadWindow Window(absl::Duration length) {
  LoadWindow window;
  window.length = length;
  window.lead_in = absl::Milliseconds(100);
  return window;
}

Load Closed(Transport* transport, int clients, absl::Duration length) {
  LoadOptions options;
  options.clients = clients;
  return Generator(transport, options).Run(Window(length));
}

Load Open(Transport* transport, double rate, uint64_t seed,
          absl::Duration length) {
  LoadOptions options;
  options.rate = rate;
  options.seed = seed;
  options.max_outstanding = 8192;
  return Generator(transport, options).Run(Window(length));
}

std::unique_ptr<Transport> Dial(const std::string& target, bool stream,
                                const v1::PredictRequest& request) {
  const TransportOptions options = {target, {}, kConnections};
  return stream ? MakeStreamTransport(options, request, kStreams)
                : MakeUnaryTransport(options, request);
}

// An echo server in a process of its own.
class EchoProcess {
 public:
  EchoProcess(const std::string& self, const v1::PredictResponse& reply)
      : port_file_(testing::TempPath("echo.port")),
        process_({self, "--echo",
                  testing::WriteBytes("echo.reply", reply.SerializeAsString()),
                  port_file_}) {
    while (!std::filesystem::exists(port_file_) && process_.running()) {
      absl::SleepFor(absl::Milliseconds(10));
    }
  }
  std::string target() const {
    return absl::StrCat("127.0.0.1:", testing::ReadBytes(port_file_));
  }
  pid_t pid() const { return process_.pid(); }

 private:
  const std::string port_file_;
  testing::Process process_;
};

// Processor time that a process has used, to a hundredth of a second: what
// others do on the machine does not count.
absl::Duration CpuTime(pid_t pid) {
  const std::string stat =
      testing::ReadBytes(absl::StrCat("/proc/", pid, "/stat"));
  // Behind the name, which may hold anything: the state, then 10 numbers.
  const std::vector<std::string> fields =
      absl::StrSplit(stat.substr(stat.rfind(')') + 1), ' ');
  constexpr size_t kUser = 12, kSystem = 13;
  int64_t ticks = 0, system = 0;
  if (fields.size() <= kSystem || !absl::SimpleAtoi(fields[kUser], &ticks) ||
      !absl::SimpleAtoi(fields[kSystem], &system)) {
    return absl::ZeroDuration();
  }
  return absl::Seconds(static_cast<double>(ticks + system) /
                       static_cast<double>(sysconf(_SC_CLK_TCK)));
}

// Rates, and what of the processors they took.
struct Side {
  std::vector<double> rates;
  absl::Duration cpu;
  double calls = 0;

  double CpuMicroseconds() const {
    return calls > 0 ? absl::ToDoubleMicroseconds(cpu) / calls : 0;
  }
};

// How many batches of each size the load's answers came from.
std::map<int64_t, int64_t> Batches(const Load& load) {
  std::map<int64_t, int64_t> batches;
  for (const auto& [size, batch] : load.batches) {
    batches[size] = std::max<int64_t>(batch.compute.count() / size, 1);
  }
  return batches;
}

// Of the refusals that the server has counted: how many, and the share that
// took it at most a millisecond.
struct Refusals {
  double count = 0, within_ms = 0;
};

Refusals RefusalsOf(int metrics_port) {
  Refusals refusals;
  const std::string text = testing::HttpGet(metrics_port);
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::StartsWith(line, "quantserve_request_duration_seconds_") ||
        !absl::StrContains(line, "\"UNAVAILABLE\"")) {
      continue;
    }
    double value = 0;
    (void)absl::SimpleAtod(line.substr(line.rfind(' ') + 1), &value);
    if (absl::StrContains(line, "_count{")) refusals.count += value;
    if (absl::StrContains(line, "le=\"0.001\"")) refusals.within_ms += value;
  }
  return refusals;
}

class Bench {
 public:
  explicit Bench(std::string self)
      : self_(std::move(self)),
        window_(absl::GetFlag(FLAGS_window)),
        rounds_(absl::GetFlag(FLAGS_rounds)) {}

  absl::Status Run();
  const std::vector<Finding>& findings() const { return findings_; }

 private:
  // a, b, c: the server at saturation beside echo and engine.
  absl::Status Saturation(const EchoProcess& echo, bool stream);
  absl::Status OneSide(Transport* transport, int clients, pid_t server,
                       Side* side, Load* all);
  int BestClients(Transport* transport);
  void Poisson();
  absl::Status Overload(const std::string& variant, int metrics_port);
  absl::Status Quantizing();

  void Add(const std::string& what, double measured, const std::string& unit,
           const std::string& relation = "", double target = 0) {
    findings_.push_back({what, measured, unit, relation, target});
    Say(absl::StrFormat("%s: %.4g %s", what, measured, unit));
  }

  const std::string self_;
  const absl::Duration window_;
  const int rounds_;
  testing::TestModel model_;
  v1::PredictRequest request_;
  std::string target_;
  pid_t server_pid_ = 0;
  std::unique_ptr<DirectEngine> engine_;
  double capacity_ = 0;  // by unary calls, a second
  std::vector<Finding> findings_;
};

absl::Status Bench::Run() {
  model_ = testing::Resnet20();
  if (model_.name.empty()) model_ = testing::SmallModel();
  Say("the model is " + model_.name);
  request_.set_variant("int8");
  *request_.add_inputs() = testing::ReadSamples(model_.test, 3, 1);
  {
    testing::ServerProcess server(model_);
    target_ = server.target();
    server_pid_ = server.process().pid();
    QS_RETURN_IF_ERROR(server.NewClient()->AwaitReady(absl::Minutes(5)));
    QS_ASSIGN_OR_RETURN(DirectEngine engine,
                        DirectEngine::Make(model_, Cpu().cores));
    Say("called directly: the engine " + engine.name());
    engine_ = std::make_unique<DirectEngine>(std::move(engine));
    QS_ASSIGN_OR_RETURN(const auto reply,
                        server.NewClient()->Predict(request_));
    const EchoProcess echo(self_, reply);
    for (const bool stream : {false, true}) {
      QS_RETURN_IF_ERROR(Saturation(echo, stream));
    }
    Poisson();
    // A refusal costs what a call costs: the less, the longer a model computes.
    for (const char* variant : {"int8", "fp32"}) {
      QS_RETURN_IF_ERROR(Overload(variant, server.metrics_port()));
    }
  }
  return Quantizing();
}

int Bench::BestClients(Transport* transport) {
  int best = kClients[0];
  double most = 0;
  for (const int clients : kClients) {
    const double rate = Closed(transport, clients, window_ / 2).Goodput();
    if (rate > most) {
      most = rate;
      best = clients;
    }
  }
  return best;
}

// One window of a server at saturation.
absl::Status Bench::OneSide(Transport* transport, int clients, pid_t server,
                            Side* side, Load* all) {
  const absl::Duration before = CpuTime(server) + CpuTime(getpid());
  LoadOptions options;
  options.clients = clients;
  LoadWindow window;  // without a lead-in: each call counts, as its time does
  window.length = window_;
  const Load load = Generator(transport, options).Run(window);
  QS_RETURN_IF_ERROR(load.Failure());
  side->cpu += CpuTime(server) + CpuTime(getpid()) - before;
  side->calls += static_cast<double>(load.succeeded());
  side->rates.push_back(load.Goodput());
  *all = load;
  return absl::OkStatus();
}

absl::Status Bench::Saturation(const EchoProcess& echo, bool stream) {
  const auto server = Dial(target_, stream, request_);
  const auto ceiling = Dial(echo.target(), stream, request_);
  Closed(server.get(), 4, window_);
  const int clients = BestClients(server.get());
  const int echo_clients = BestClients(ceiling.get());
  Side served, rpc, direct;
  std::vector<double> ratios;
  Load all, load, echoed;
  for (int round = 0; round < rounds_; ++round) {
    QS_RETURN_IF_ERROR(
        OneSide(server.get(), clients, server_pid_, &served, &load));
    const absl::Duration before = CpuTime(getpid());
    const DirectEngine::Work run = engine_->RunFor(window_, Batches(load));
    direct.cpu += CpuTime(getpid()) - before;
    direct.calls += static_cast<double>(run.samples);
    direct.rates.push_back(static_cast<double>(run.samples) /
                           absl::ToDoubleSeconds(run.took));
    QS_RETURN_IF_ERROR(
        OneSide(ceiling.get(), echo_clients, echo.pid(), &rpc, &echoed));
    ratios.push_back(served.rates.back() /
                     std::min(direct.rates.back(), rpc.rates.back()));
    all.Merge(load);
  }
  const std::string how = stream ? "stream" : "unary";
  Add(absl::StrCat("echo, ", how, ", ", echo_clients, " clients"),
      Median(rpc.rates), "/s");
  Add(absl::StrFormat("engine called directly, mean batch %.2f",
                      all.MeanBatch()),
      Median(direct.rates), "/s");
  Add(absl::StrCat("server, ", how, ", ", clients, " clients"),
      Median(served.rates), "/s");
  Add("server over the lower of the two", Median(ratios), "x", ">=", 0.8);
  // The same from processor time, client included.
  Add("  processor time of an echo", rpc.CpuMicroseconds(), "us");
  Add("  processor time of a sample in the engine", direct.CpuMicroseconds(),
      "us");
  Add("  processor time of a call to the server", served.CpuMicroseconds(),
      "us");
  Add("  larger of the first two over the third",
      std::max(rpc.CpuMicroseconds(), direct.CpuMicroseconds()) /
          served.CpuMicroseconds(),
      "x");
  Add("  were it the sum of the first two",
      std::max(rpc.CpuMicroseconds(), direct.CpuMicroseconds()) /
          (rpc.CpuMicroseconds() + direct.CpuMicroseconds()),
      "x");
  if (!stream) capacity_ = Median(served.rates);
  return absl::OkStatus();
}

void Bench::Poisson() {
  const auto transport = Dial(target_, false, request_);
  std::vector<double> p99, ratios;
  for (int round = 0; round < rounds_; ++round) {
    const Load load = Open(transport.get(), 0.7 * capacity_,
                           static_cast<uint64_t>(round), window_);
    p99.push_back(absl::ToDoubleMilliseconds(load.latency.Percentile(0.99)));
    ratios.push_back(absl::FDivDuration(load.latency.Percentile(0.99),
                                        load.compute.Percentile(0.5)));
  }
  Add("p99 at 70 % of saturation, poisson", Median(p99), "ms");
  Add("p99 over the median compute time", Median(ratios), "x", "<=", 5);
}

absl::Status Bench::Overload(const std::string& variant, int metrics_port) {
  v1::PredictRequest request = request_;
  request.set_variant(variant);
  const auto transport = Dial(target_, false, request);
  constexpr int kSaturating = 64;
  const double capacity =
      Closed(transport.get(), kSaturating, window_).Goodput();
  const Refusals before = RefusalsOf(metrics_port);
  std::vector<double> ratios;
  Load all;
  for (int round = 0; round < rounds_; ++round) {
    // Beside the capacity of the same minute.
    const Load full = Closed(transport.get(), kSaturating, window_);
    const Load load = Open(transport.get(), 2 * capacity,
                           static_cast<uint64_t>(round), window_);
    ratios.push_back(load.Goodput() / full.Goodput());
    all.Merge(load);
  }
  const Refusals after = RefusalsOf(metrics_port);
  Add(absl::StrCat(variant, ", sent at 200 % of capacity"), all.Throughput(),
      "/s");
  Add("goodput over capacity", Median(ratios), "x", ">=", 0.9);
  const auto unavailable = all.failures.find(absl::StatusCode::kUnavailable);
  const auto refused = static_cast<double>(
      unavailable == all.failures.end() ? 0
                                        : unavailable->second.latency.count());
  Add("requests never sent", static_cast<double>(all.not_sent), "");
  Add("refused with UNAVAILABLE, of all failures",
      all.failed() == 0 ? 1 : refused / static_cast<double>(all.failed()), "x",
      ">=", 1);
  if (all.failed() == 0) return absl::OkStatus();
  Add("refused by the server within 1 ms",
      (after.within_ms - before.within_ms) /
          std::max(after.count - before.count, 1.0),
      "x", ">=", 0.99);
  return absl::OkStatus();
}

absl::Status Bench::Quantizing() {
  testing::ServerProcess server(model_, {"--workers=1"});
  target_ = server.target();
  QS_RETURN_IF_ERROR(server.NewClient()->AwaitReady(absl::Minutes(5)));
  const auto transport = Dial(target_, false, request_);
  const double rate = 0.3 * Closed(transport.get(), 16, 2 * window_).Goodput();
  std::vector<double> ratios, idle_p99, busy_p99;
  absl::Status failed;
  for (int round = 0; round < rounds_ && failed.ok(); ++round) {
    const auto seed = static_cast<uint64_t>(round);
    Load idle = Open(transport.get(), rate, seed, 2 * window_);
    std::atomic<bool> over{false};
    std::thread quantize([&] {
      v1::QuantizeRequest request;
      failed = server.NewClient()->Quantize(request, nullptr).status();
      over = true;
    });
    Load busy;
    while (!over) {
      const Load load = Open(transport.get(), rate, seed, window_);
      if (!over || busy.succeeded() == 0) busy.Merge(load);
    }
    quantize.join();
    idle.Merge(Open(transport.get(), rate, seed, 2 * window_));
    const absl::Duration calm = idle.latency.Percentile(0.99);
    const absl::Duration disturbed = busy.latency.Percentile(0.99);
    idle_p99.push_back(absl::ToDoubleMilliseconds(calm));
    busy_p99.push_back(absl::ToDoubleMilliseconds(disturbed));
    ratios.push_back(absl::FDivDuration(disturbed, calm));
  }
  QS_RETURN_IF_ERROR(failed);
  Add(absl::StrFormat("p99 with one worker, %.0f/s poisson", rate),
      Median(idle_p99), "ms");
  Add("p99 during Quantize", Median(busy_p99), "ms");
  Add("p99 during Quantize over p99 without", Median(ratios), "x", "<=", 1.5);
  return absl::OkStatus();
}

int Main(const std::vector<std::string>& arguments) {
  // As the server and quantctl do; of the echo server, too.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  if (arguments.size() == 4 && arguments[1] == "--echo") {
    return RunEchoServer(arguments[2], arguments[3]);
  }
  const CommandLine line = {"Measures the service beside its ceilings.",
                            "serving_bench [flags]",
                            {{"Flags", {"window", "rounds", "out"}}},
                            ""};
  const auto parsed = Parse(line, {arguments.begin() + 1, arguments.end()});
  if (!parsed.ok()) {
    Say(std::string(parsed.status().message()));
    return 2;
  }
  if (parsed->help) {
    std::fputs(UsagePage(line).c_str(), stdout);
    return 0;
  }
  Bench bench(arguments[0]);
  const absl::Status status = bench.Run();
  std::fputs(FindingsTable(bench.findings()).c_str(), stdout);
  const std::string out = absl::GetFlag(FLAGS_out);
  if (!out.empty()) {
    std::ofstream(out) << FindingsJson(bench.findings()).dump(2) << "\n";
  }
  if (!status.ok()) Say(status.ToString());
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace quantserve::bench

int main(int argc, char** argv) {
  return quantserve::bench::Main({argv, argv + argc});
}
