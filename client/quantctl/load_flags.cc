#include "client/quantctl/load_flags.h"

#include <algorithm>
#include <cmath>

#include "absl/flags/flag.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/cli/numbers.h"
#include "client/quantctl/command.h"

ABSL_FLAG(int32_t, clients, 1,
          "Closed loop: calls in flight, each sent when the one before it is "
          "answered; 1 to 1024.");
ABSL_FLAG(int32_t, connections, 0,
          "Connections that the calls share; 1 to 256. Default: one for each "
          "client, at most 4.");
ABSL_FLAG(int64_t, requests, 0,
          "Calls in all, for each variant; at most 10,000,000. Default: 1000 "
          "for compare; bench goes on until its figures are stable.");
ABSL_FLAG(std::string, rate, "",
          "Open loop: requests a second, sent whether or not others are "
          "answered. Several for a sweep: 500,1000 or FIRST:LAST:STEP.");
ABSL_FLAG(std::string, arrivals, "poisson",
          "When an open loop's requests are sent: poisson (gaps of chance, as "
          "many users make them) or constant.");
ABSL_FLAG(uint64_t, seed, 1, "Of poisson's gaps.");
ABSL_FLAG(int32_t, max_outstanding, 1024,
          "Open loop: unanswered requests at most. What comes then is sent "
          "late, or never, and counted as that; 1 to 65536.");
ABSL_FLAG(absl::Duration, deadline, absl::ZeroDuration(),
          "Each request's deadline, which the server is told of, e.g. 50ms. "
          "Default: --timeout's.");
ABSL_FLAG(bool, stream, false,
          "Sends by PredictStream, up to eight streams on a connection, "
          "instead of one call for each request.");
ABSL_FLAG(absl::Duration, warmup, absl::Seconds(1),
          "Load before the first window, which does not count.");
ABSL_FLAG(absl::Duration, window, absl::Seconds(1),
          "Length of a window. Windows are measured until the last three "
          "agree; their sum is the result.");
ABSL_FLAG(double, tolerance, 0.1,
          "How far the rate and the median latency of a window may be from the "
          "three's mean, 0.1 for 10 %.");
ABSL_FLAG(int32_t, max_windows, 10,
          "Windows at most; 3 to 1000. If they never agree, the result says "
          "so.");

namespace quantserve {
namespace {

constexpr double kHighestRate = 1e7;
constexpr size_t kMostPoints = 100;
constexpr int kStreams = 8;

absl::Status Check(const char* flag, int64_t value, int64_t least,
                   int64_t most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return UsageError(absl::StrCat("flag --", flag, " is ", value, ", want ",
                                 least, " to ", most));
}

absl::Status Check(const char* flag, absl::Duration value, absl::Duration least,
                   absl::Duration most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return UsageError(absl::StrCat(
      "flag --", flag, " is ", absl::FormatDuration(value), ", want ",
      absl::FormatDuration(least), " to ", absl::FormatDuration(most)));
}

absl::Status CheckFlags() {
  const absl::Duration deadline = absl::GetFlag(FLAGS_deadline);
  for (const absl::Status& status : {
           Check("clients", absl::GetFlag(FLAGS_clients), 1, 1024),
           Check("connections", absl::GetFlag(FLAGS_connections), 0, 256),
           Check("requests", absl::GetFlag(FLAGS_requests), 0, 10000000),
           Check("max_outstanding", absl::GetFlag(FLAGS_max_outstanding), 1,
                 65536),
           Check("max_windows", absl::GetFlag(FLAGS_max_windows),
                 StableWindows::kAgreeing, 1000),
           Check("deadline", deadline, absl::ZeroDuration(), absl::Hours(1)),
           Check("warmup", absl::GetFlag(FLAGS_warmup), absl::ZeroDuration(),
                 absl::Hours(1)),
           Check("window", absl::GetFlag(FLAGS_window), absl::Milliseconds(10),
                 absl::Hours(1)),
       }) {
    if (!status.ok()) return status;
  }
  const double tolerance = absl::GetFlag(FLAGS_tolerance);
  if (!(tolerance > 0 && tolerance <= 1)) {
    return UsageError(absl::StrCat("flag --tolerance is ", tolerance,
                                   ", want more than 0 and at most 1"));
  }
  if (StreamFlag() && deadline > absl::ZeroDuration()) {
    return UsageError(
        "--deadline is no deadline of a stream's request: give one of "
        "--deadline and --stream");
  }
  return absl::OkStatus();
}

absl::StatusOr<ArrivalProcess> ArrivalsFlag() {
  const std::string name = absl::GetFlag(FLAGS_arrivals);
  if (name == "poisson") return ArrivalProcess::kPoisson;
  if (name == "constant") return ArrivalProcess::kConstant;
  return UsageError(absl::StrCat("flag --arrivals is \"", name,
                                 "\", want poisson or constant"));
}

}  // namespace

absl::StatusOr<std::vector<double>> ParseRates(const std::string& text) {
  const bool range = absl::StrContains(text, ":");
  const auto read =
      ParseNumbers("rate", absl::StrReplaceAll(text, {{":", ","}}));
  if (!read.ok()) return UsageError(read.status().message());
  std::vector<double> rates = *read;
  const auto bad = [&text](absl::string_view want) {
    return UsageError(
        absl::StrCat("flag --rate is \"", text, "\", want ", want));
  };
  for (const double number : rates) {
    if (number <= 0 || number > kHighestRate) {
      return bad("numbers above 0, at most 10000000");
    }
  }
  if (range) {
    if (rates.size() != 3 || absl::StrContains(text, ",") ||
        rates[0] > rates[1]) {
      return bad("FIRST:LAST:STEP");
    }
    const double first = rates[0], last = rates[1], step = rates[2];
    // A hair more: 0.1 + 0.1 + 0.1 is to reach 0.3.
    const double points = std::floor((last - first) / step + 1e-9) + 1;
    if (points > kMostPoints) return bad("at most 100 points");
    rates.clear();
    for (int i = 0; i < points; ++i) rates.push_back(first + i * step);
  }
  if (rates.size() > kMostPoints) return bad("at most 100 points");
  return rates;
}

FlagGroup ClosedLoopFlags() {
  return {"Load", {"clients", "connections", "requests"}};
}

FlagGroup OpenLoopFlags() {
  return {
      "Open loop",
      {"rate", "arrivals", "seed", "max_outstanding", "deadline", "stream"}};
}

FlagGroup WindowFlags() {
  return {"Windows", {"warmup", "window", "tolerance", "max_windows"}};
}

absl::StatusOr<std::vector<MeasureOptions>> MeasureFlags(
    int64_t default_requests) {
  const absl::Status valid = CheckFlags();
  if (!valid.ok()) return valid;
  const auto arrivals = ArrivalsFlag();
  if (!arrivals.ok()) return arrivals.status();
  const auto rates = ParseRates(absl::GetFlag(FLAGS_rate));
  if (!rates.ok()) return rates.status();
  const auto connection = ConnectionOptions();
  if (!connection.ok()) return connection.status();
  MeasureOptions options;
  options.load.arrivals = *arrivals;
  options.load.seed = absl::GetFlag(FLAGS_seed);
  options.load.clients = absl::GetFlag(FLAGS_clients);
  options.load.max_outstanding = absl::GetFlag(FLAGS_max_outstanding);
  const absl::Duration deadline = absl::GetFlag(FLAGS_deadline);
  options.load.deadline =
      deadline > absl::ZeroDuration() ? deadline : connection->deadline;
  options.warmup = absl::GetFlag(FLAGS_warmup);
  options.window = absl::GetFlag(FLAGS_window);
  options.tolerance = absl::GetFlag(FLAGS_tolerance);
  options.max_windows = absl::GetFlag(FLAGS_max_windows);
  const int64_t requests = absl::GetFlag(FLAGS_requests);
  options.requests = requests > 0 ? requests : default_requests;
  if (rates->empty()) return std::vector<MeasureOptions>{options};
  std::vector<MeasureOptions> sweep;
  for (const double rate : *rates) {
    options.load.rate = rate;
    sweep.push_back(options);
  }
  return sweep;
}

int ConnectionsFlag() {
  const int connections = absl::GetFlag(FLAGS_connections);
  if (connections > 0) return connections;
  constexpr int kMost = 4;
  const bool open = !absl::GetFlag(FLAGS_rate).empty();
  return open ? kMost : std::min(kMost, absl::GetFlag(FLAGS_clients));
}

bool StreamFlag() { return absl::GetFlag(FLAGS_stream); }

absl::StatusOr<std::unique_ptr<Transport>> Dial(
    const v1::PredictRequest& request) {
  const auto client = ConnectionOptions();
  if (!client.ok()) return client.status();
  const TransportOptions options = {ServerTarget(), *client, ConnectionsFlag()};
  return StreamFlag() ? MakeStreamTransport(options, request, kStreams)
                      : MakeUnaryTransport(options, request);
}

}  // namespace quantserve
