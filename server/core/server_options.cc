#include "server/core/server_options.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

constexpr size_t kMaxModels = 64;

absl::Status CheckRange(absl::string_view what, int64_t value, int64_t low,
                        int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " is ", value, ", want ", low, " to ", high));
}

absl::Status CheckSeconds(absl::string_view what, absl::Duration value,
                          double low, double high) {
  const double seconds = absl::ToDoubleSeconds(value);
  if (seconds >= low && seconds <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " is ", seconds, ", want ", low, " to ", high));
}

absl::Status CheckName(absl::string_view what, absl::string_view name) {
  if (IsValidName(name)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      what, " \"", name,
      "\" is not a name: want 1 to 64 letters, digits, \"-\", \"_\" or \".\", "
      "not starting with \".\""));
}

absl::Status CheckShape(const Shape& shape) {
  for (int64_t dim : shape) {
    if (dim < 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("sample_shape is ", ShapeString(shape),
                       ", want positive dimensions"));
    }
  }
  return NumElements(shape).status();
}

absl::Status ValidateModel(const ModelConfig& model) {
  if (model.path.empty()) {
    return absl::InvalidArgumentError(
        "no model: give --model=FILE, a TorchScript file");
  }
  QS_RETURN_IF_ERROR(CheckName("model_name", model.name));
  if (model.name == kLiveName) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model_name is \"", kLiveName,
        "\", which is what health calls the process; give another one"));
  }
  for (const InputSpec& input : model.inputs) {
    QS_RETURN_IF_ERROR(CheckShape(input.shape));
  }
  return model.CheckPreprocessing();
}

absl::Status ValidateQuantization(const QuantizationConfig& config) {
  std::set<std::string> names;
  for (const NamedShard& shard : config.shards) {
    QS_RETURN_IF_ERROR(CheckName("shard name", shard.name));
    if (shard.path.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("shard \"", shard.name, "\" has no path"));
    }
    if (!names.insert(shard.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("shard \"", shard.name, "\" is given twice"));
    }
  }
  for (const std::string& name :
       {config.calibration_shard, config.test_shard}) {
    if (!name.empty() && names.count(name) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("no shard is named \"", name,
                       "\", there are: ", absl::StrJoin(names, ", ")));
    }
  }
  QS_RETURN_IF_ERROR(CheckRange("samples", config.options.samples, 1, 1 << 30));
  QS_RETURN_IF_ERROR(config.reading.Validate());
  QS_RETURN_IF_ERROR(config.options.ranges.Validate());
  return config.gate.Validate();
}

absl::Status ValidateNetwork(const NetworkConfig& network) {
  if (network.address.empty()) {
    return absl::InvalidArgumentError("address is empty, want an IP address");
  }
  QS_RETURN_IF_ERROR(CheckRange("port", network.port, 0, 65535));
  QS_RETURN_IF_ERROR(
      CheckRange("metrics_port", network.metrics_port, 0, 65535));
  QS_RETURN_IF_ERROR(CheckRange("max_message_bytes", network.max_message_bytes,
                                1024, 1 << 30));
  QS_RETURN_IF_ERROR(CheckSeconds("drain_seconds", network.drain, 0, 86400));
  QS_RETURN_IF_ERROR(
      CheckSeconds("lame_duck_seconds", network.lame_duck, 0, 3600));
  return network.connections.Validate();
}

absl::Status ValidateSecurity(const SecurityConfig& security,
                              const NetworkConfig& network) {
  QS_RETURN_IF_ERROR(CheckRange("admin_port", security.admin_port, -1, 65535));
  if (security.tls_cert.empty() != security.tls_key.empty()) {
    return absl::InvalidArgumentError(
        "tls_cert and tls_key go together, one of them is missing");
  }
  if (!security.tls_client_ca.empty() && security.tls_cert.empty()) {
    return absl::InvalidArgumentError(
        "tls_client_ca needs tls_cert and tls_key");
  }
  if (!security.admin_clients.empty() && security.tls_client_ca.empty()) {
    return absl::InvalidArgumentError(
        "admin_clients needs tls_client_ca, which verifies them");
  }
  if (!security.admin_token_file.empty() && security.tls_cert.empty() &&
      !IsLoopback(network.address) && !security.allow_plaintext_token) {
    return absl::InvalidArgumentError(absl::StrCat(
        "with admin_token_file the token would cross the network of ",
        network.address,
        " in the clear: give tls_cert, or allow_plaintext_token if that "
        "network is trusted"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ModelConfig::CheckPreprocessing() const {
  if (inputs.size() == 1 && !inputs[0].integers) {
    const Shape& shape = inputs[0].shape;
    return preprocessing.Validate(shape.empty() ? 1 : shape[0]);
  }
  return preprocessing.Validate(static_cast<int64_t>(std::max(
      {preprocessing.mean.size(), preprocessing.std.size(), size_t{1}})));
}

absl::Status ConnectionConfig::Validate() const {
  QS_RETURN_IF_ERROR(CheckSeconds("keepalive_seconds", keepalive, 1, 3600));
  QS_RETURN_IF_ERROR(
      CheckSeconds("max_connection_idle_seconds", max_idle, 0, 86400));
  QS_RETURN_IF_ERROR(
      CheckSeconds("max_connection_age_seconds", max_age, 0, 864000));
  QS_RETURN_IF_ERROR(
      CheckSeconds("reply_timeout_seconds", reply_timeout, 0.1, 86400));
  return CheckRange("receive_buffer_bytes", receive_buffer_bytes, 1 << 20,
                    int64_t{1} << 40);
}

absl::Status ServedModelConfig::Validate() const {
  QS_RETURN_IF_ERROR(ValidateModel(model));
  QS_RETURN_IF_ERROR(ValidateQuantization(quantization));
  if (model.inputs.empty() && quantization.calibration_shard.empty()) {
    return absl::InvalidArgumentError(
        "the shape of a sample is unknown: give --sample_shape=3,32,32 or a "
        "--calibration_shard");
  }
  QS_RETURN_IF_ERROR(CheckRange("int8_percent", rollout.int8_percent, 0, 100));
  QS_RETURN_IF_ERROR(
      CheckRange("shadow_percent", rollout.shadow_percent, 0, 100));
  return CheckRange("max_batch", model.max_batch, 1, 1024);
}

absl::Status ServerOptions::Validate() const {
  QS_RETURN_IF_ERROR(CheckModelCount(models.size()));
  std::set<std::string> names;
  for (const ServedModelConfig& served : models) {
    const absl::Status valid = served.Validate();
    if (!valid.ok()) {
      if (models.size() == 1) return valid;
      return absl::InvalidArgumentError(
          absl::StrCat("model ", served.model.name, ": ", valid.message()));
    }
    if (!names.insert(served.model.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("two models are named \"", served.model.name,
                       "\", give each a model_name"));
    }
  }
  QS_RETURN_IF_ERROR(CheckRange("workers", serving.workers, 0, 1024));
  QS_RETURN_IF_ERROR(CheckRange("queue", serving.queue_capacity, 1, 1 << 20));
  QS_RETURN_IF_ERROR(
      CheckRange("stream_window", serving.stream_window, 1, 4096));
  QS_RETURN_IF_ERROR(
      CheckSeconds("max_queue_delay_seconds", serving.max_queue_delay, 0, 10));
  QS_RETURN_IF_ERROR(ValidateNetwork(network));
  return ValidateSecurity(security, network);
}

absl::Status CheckModelCount(size_t models) {
  if (models >= 1 && models <= kMaxModels) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("there are ", models, " models, want 1 to ", kMaxModels));
}

bool IsLoopback(absl::string_view address) {
  return address == "localhost" || address == "::1" || address == "[::1]" ||
         absl::StartsWith(address, "127.");
}

bool IsValidName(absl::string_view name) {
  return !name.empty() && name.size() <= 64 && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
         });
}

std::vector<int64_t> BatchLadder(int max_batch) {
  std::vector<int64_t> ladder;
  for (int64_t size = 1; size < max_batch; size *= 2) ladder.push_back(size);
  ladder.push_back(max_batch);
  return ladder;
}

}  // namespace quantserve
