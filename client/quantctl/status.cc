// status, evaluate and wait: one call and its answer.
#include <cstdio>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "client/quantctl/command.h"
#include "client/quantctl/report.h"

ABSL_DECLARE_FLAG(std::string, shard);
ABSL_DECLARE_FLAG(absl::Duration, timeout);
ABSL_FLAG(std::string, service, "",
          "What to wait for: MODEL, MODEL/VARIANT, or live, which is the "
          "process, whatever it serves. Default: everything.");

namespace quantserve {
namespace {

absl::Status RunStatus(const Arguments&) {
  const auto json = JsonRequested();
  if (!json.ok()) return json.status();
  const auto client = Connect();
  if (!client.ok()) return client.status();
  v1::GetStatusRequest request;
  request.set_model(ModelFlag());
  const auto status = (*client)->GetStatus(request);
  if (!status.ok()) return status.status();
  std::fputs((*json ? ToJson(*status) : StatusText(*status)).c_str(), stdout);
  return absl::OkStatus();
}

absl::Status RunEvaluate(const Arguments&) {
  const auto json = JsonRequested();
  if (!json.ok()) return json.status();
  const auto client = Connect();
  if (!client.ok()) return client.status();
  v1::EvaluateRequest request;
  request.set_model(ModelFlag());
  request.set_variant(VariantFlag());
  request.set_shard(absl::GetFlag(FLAGS_shard));
  request.set_samples(SamplesFlag());
  const auto response = (*client)->Evaluate(request);
  if (!response.ok()) return response.status();
  std::fputs((*json ? ToJson(*response) : EvaluateText(*response)).c_str(),
             stdout);
  return absl::OkStatus();
}

absl::Status RunWait(const Arguments&) {
  const auto client = Connect();
  if (!client.ok()) return client.status();
  const absl::Duration timeout = absl::GetFlag(FLAGS_timeout);
  return (*client)->AwaitReady(
      timeout > absl::ZeroDuration() ? timeout : absl::Minutes(5),
      absl::GetFlag(FLAGS_service));
}

}  // namespace

Command StatusCommand() {
  return {"status",
          {"Prints what the server serves: variants, engines, accuracy, "
           "latency, size.",
           "quantctl status [flags]",
           {{"Model", {"model"}}, CommonFlags()},
           "",
           0},
          RunStatus};
}

Command EvaluateCommand() {
  return {"evaluate",
          {"Measures the accuracy and latency of a variant on a shard of the "
           "server.",
           "quantctl evaluate [flags]",
           {{"Evaluation", {"model", "variant", "shard", "samples"}},
            CommonFlags()},
           "Example:\n  quantctl evaluate --variant=int8 --shard=test\n",
           0},
          RunEvaluate};
}

Command WaitCommand() {
  return {"wait",
          {"Waits until the server is ready; 5 minutes unless --timeout says "
           "otherwise.",
           "quantctl wait [flags]",
           {{"Health", {"service"}}, CommonFlags()},
           "Example, a container's liveness probe:\n  quantctl wait "
           "--service=live --timeout=1s\n",
           0},
          RunWait};
}

}  // namespace quantserve
