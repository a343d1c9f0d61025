#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "client/quantctl/command.h"
#include "google/protobuf/util/json_util.h"

ABSL_FLAG(std::string, server, "127.0.0.1:8001", "The server, HOST:PORT.");
ABSL_FLAG(absl::Duration, timeout, absl::ZeroDuration(),
          "How long a call may take, e.g. 5s. Default: 10s, and 10m for "
          "quantize and evaluate.");
ABSL_FLAG(std::string, format, "table", "What to print: table or json.");
ABSL_FLAG(std::string, variant, "",
          "fp32 or int8. Default: int8 once it has passed its gate, else "
          "fp32.");
ABSL_FLAG(int64_t, samples, 0,
          "How many of the shard's samples to use. Default: the server's "
          "configured number to quantize, all to evaluate.");

namespace quantserve {
namespace {
constexpr char kUsagePayload[] = "quantserve/usage";
}  // namespace

absl::Status UsageError(absl::string_view message) {
  absl::Status status = absl::InvalidArgumentError(message);
  status.SetPayload(kUsagePayload, absl::Cord());
  return status;
}

bool IsUsageError(const absl::Status& status) {
  return status.GetPayload(kUsagePayload).has_value();
}

FlagGroup CommonFlags() {
  return {"Common flags", {"server", "timeout", "format"}};
}

absl::StatusOr<bool> JsonRequested() {
  const std::string format = absl::GetFlag(FLAGS_format);
  if (format == "json") return true;
  if (format == "table") return false;
  return UsageError(
      absl::StrCat("flag --format is \"", format, "\", want table or json"));
}

absl::StatusOr<std::unique_ptr<Client>> Connect() {
  ClientOptions options;
  const absl::Duration timeout = absl::GetFlag(FLAGS_timeout);
  if (timeout < absl::ZeroDuration()) {
    return UsageError("flag --timeout is negative, want e.g. 5s");
  }
  if (timeout > absl::ZeroDuration()) {
    options.deadline = options.job_deadline = timeout;
  }
  return std::make_unique<Client>(absl::GetFlag(FLAGS_server), options);
}

std::string ServerTarget() { return absl::GetFlag(FLAGS_server); }
std::string VariantFlag() { return absl::GetFlag(FLAGS_variant); }
int64_t SamplesFlag() { return absl::GetFlag(FLAGS_samples); }

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status =
      google::protobuf::util::MessageToJsonString(message, &text, options);
  return status.ok() ? text : "{}\n";
}

}  // namespace quantserve
