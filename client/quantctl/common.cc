#include <fstream>
#include <sstream>
#include <tuple>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "client/quantctl/command.h"
#include "google/protobuf/util/json_util.h"

ABSL_FLAG(std::string, server, "127.0.0.1:8001", "The server, HOST:PORT.");
ABSL_FLAG(absl::Duration, timeout, absl::ZeroDuration(),
          "How long a call may take, e.g. 5s. Default: 10s, and 10m for "
          "quantize and evaluate.");
ABSL_FLAG(std::string, token_file, "",
          "File with the token that the server wants with administrative calls "
          "(quantize, evaluate) from other machines.");
ABSL_FLAG(bool, tls, false, "Speaks TLS; given any of the next three, too.");
ABSL_FLAG(std::string, tls_ca, "",
          "PEM file with the CA of the server's certificate. Default: the "
          "system's.");
ABSL_FLAG(std::string, tls_cert, "",
          "PEM file with the certificate to show to the server.");
ABSL_FLAG(std::string, tls_key, "", "PEM file with its key.");
ABSL_FLAG(std::string, format, "table",
          "What to print: table or json; bench also csv.");
ABSL_FLAG(std::string, model, "",
          "Which of the server's models; needed if it has several.");
ABSL_FLAG(std::string, variant, "",
          "fp32 or int8; bench takes several, with commas between them. "
          "Default: int8 once it has passed its gate, else fp32.");
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
  return {"Common flags",
          {"server", "timeout", "format", "token_file", "tls", "tls_ca",
           "tls_cert", "tls_key"}};
}

FlagGroup AdminFlags() {
  FlagGroup group = CommonFlags();
  group.flags.insert(group.flags.begin() + 1, "all");
  return group;
}

absl::StatusOr<Format> FormatFlag(bool csv) {
  const std::string format = absl::GetFlag(FLAGS_format);
  if (format == "table") return Format::kTable;
  if (format == "json") return Format::kJson;
  if (format == "csv" && csv) return Format::kCsv;
  return UsageError(absl::StrCat("flag --format is \"", format,
                                 "\", want table",
                                 csv ? ", json or csv" : " or json"));
}

absl::StatusOr<bool> JsonRequested() {
  const auto format = FormatFlag(false);
  if (!format.ok()) return format.status();
  return *format == Format::kJson;
}

namespace {

// Nothing for an empty path.
absl::Status ReadFileOf(const char* flag, const std::string& path,
                        std::string* content) {
  if (path.empty()) return absl::OkStatus();
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  *content = std::string(absl::StripAsciiWhitespace(text.str()));
  if (file && !content->empty()) return absl::OkStatus();
  return UsageError(
      absl::StrCat("flag --", flag, ": ", path, " is empty or can't be read"));
}

}  // namespace

absl::StatusOr<ClientOptions> ConnectionOptions() {
  ClientOptions options;
  const absl::Duration timeout = absl::GetFlag(FLAGS_timeout);
  if (timeout < absl::ZeroDuration()) {
    return UsageError("flag --timeout is negative, want e.g. 5s");
  }
  if (timeout > absl::ZeroDuration()) {
    options.deadline = options.job_deadline = timeout;
  }
  const std::tuple<const char*, std::string, std::string*> files[] = {
      {"token_file", absl::GetFlag(FLAGS_token_file), &options.token},
      {"tls_ca", absl::GetFlag(FLAGS_tls_ca), &options.tls_ca},
      {"tls_cert", absl::GetFlag(FLAGS_tls_cert), &options.tls_cert},
      {"tls_key", absl::GetFlag(FLAGS_tls_key), &options.tls_key}};
  for (const auto& [flag, path, content] : files) {
    const absl::Status read = ReadFileOf(flag, path, content);
    if (!read.ok()) return read;
  }
  options.tls = absl::GetFlag(FLAGS_tls) || !options.tls_ca.empty() ||
                !options.tls_cert.empty();
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    return UsageError("--tls_cert and --tls_key go together");
  }
  return options;
}

absl::StatusOr<std::unique_ptr<Client>> Connect() {
  const auto options = ConnectionOptions();
  if (!options.ok()) return options.status();
  return std::make_unique<Client>(ServerTarget(), *options);
}

std::string ServerTarget() { return absl::GetFlag(FLAGS_server); }
std::string ModelFlag() { return absl::GetFlag(FLAGS_model); }
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
