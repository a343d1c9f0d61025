// promote, rollback and route: which INT8 variant serves, and how much.
#include <cstdio>
#include <optional>

#include "absl/flags/flag.h"
#include "absl/strings/str_format.h"
#include "client/quantctl/command.h"
#include "client/quantctl/replicas.h"
#include "client/quantctl/report.h"

ABSL_FLAG(int64_t, generation, 0,
          "The candidate's generation, to be sure which one it is. Default: "
          "whichever there is.");
ABSL_FLAG(std::optional<int32_t>, int8_percent, std::nullopt,
          "Of a hundred requests that name no variant, how many INT8 gets, 0 "
          "to 100.");
ABSL_FLAG(std::optional<int32_t>, shadow_percent, std::nullopt,
          "Of a hundred answered requests, how many are run again on another "
          "variant, to compare the answers, 0 to 100: status shows them.");

namespace quantserve {
namespace {

// What both exchanges answer.
template <typename Response>
absl::Status Print(const Turn& turn, const absl::StatusOr<Response>& response,
                   bool json) {
  if (!response.ok()) return response.status();
  if (json) {
    std::fputs(ToJson(*response).c_str(), stdout);
    return absl::OkStatus();
  }
  std::string text =
      absl::StrFormat("int8 generation %d is served", response->generation());
  if (response->previous_generation() != 0) {
    absl::StrAppendFormat(&text, ", %d is kept for a rollback",
                          response->previous_generation());
  }
  std::printf("%s%s\n", turn.label.c_str(), text.c_str());
  return absl::OkStatus();
}

absl::Status RunPromote(const Arguments&) {
  const auto json = JsonRequested();
  if (!json.ok()) return json.status();
  v1::PromoteRequest request;
  request.set_model(ModelFlag());
  request.set_generation(absl::GetFlag(FLAGS_generation));
  return OnEachServer([&](const Turn& turn) {
    return Print(turn, turn.client->Promote(request), *json);
  });
}

absl::Status RunRollback(const Arguments&) {
  const auto json = JsonRequested();
  if (!json.ok()) return json.status();
  v1::RollbackRequest request;
  request.set_model(ModelFlag());
  return OnEachServer([&](const Turn& turn) {
    return Print(turn, turn.client->Rollback(request), *json);
  });
}

absl::Status RunRoute(const Arguments&) {
  const auto json = JsonRequested();
  if (!json.ok()) return json.status();
  const auto int8_percent = absl::GetFlag(FLAGS_int8_percent);
  const auto shadow_percent = absl::GetFlag(FLAGS_shadow_percent);
  if (!int8_percent.has_value() && !shadow_percent.has_value()) {
    return UsageError(
        "flag --int8_percent or --shadow_percent is missing, want 0 to 100");
  }
  v1::SetRoutingRequest request;
  request.set_model(ModelFlag());
  if (int8_percent.has_value()) request.set_int8_percent(*int8_percent);
  if (shadow_percent.has_value()) request.set_shadow_percent(*shadow_percent);
  return OnEachServer([&](const Turn& turn) -> absl::Status {
    const auto response = turn.client->SetRouting(request);
    if (!response.ok()) return response.status();
    if (*json) {
      std::fputs(ToJson(*response).c_str(), stdout);
    } else {
      std::printf("%s%s\n", turn.label.c_str(),
                  RoutingText(response->routing()).c_str());
    }
    return absl::OkStatus();
  });
}

}  // namespace

Command PromoteCommand() {
  return {"promote",
          {"Serves the candidate that quantize --hold made.",
           "quantctl promote [flags]",
           {{"Roll-out", {"model", "generation"}}, AdminFlags()},
           "Example:\n  quantctl quantize --hold && quantctl promote\n",
           0},
          RunPromote};
}

Command RollbackCommand() {
  return {"rollback",
          {"Serves the INT8 variant before the present one; again, and it is "
           "back.",
           "quantctl rollback [flags]",
           {{"Roll-out", {"model"}}, AdminFlags()},
           "The server must have been started with --keep_previous.\n",
           0},
          RunRollback};
}

Command RouteCommand() {
  return {"route",
          {"Sets the shares of requests that INT8 gets and that are shadowed.",
           "quantctl route [--int8_percent=N] [--shadow_percent=N] [flags]",
           {{"Roll-out", {"model", "int8_percent", "shadow_percent"}},
            AdminFlags()},
           "Example:\n  quantctl route --int8_percent=10 "
           "--shadow_percent=100\n",
           0},
          RunRoute};
}

}  // namespace quantserve
