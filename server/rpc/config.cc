#include "server/rpc/config.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/text_format.h"
#include "quant/base/one_line.h"
#include "quant/base/status_macros.h"
#include "server/rpc/quantize_options.h"

namespace quantserve {
namespace {

constexpr size_t kMaxConfigBytes = 1 << 20;

// Keeps the first error, which is the one that matters.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    if (!text_.empty()) return;
    text_ =
        absl::StrCat("line ", line + 1, ", column ", column + 1, ": ", message);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

absl::StatusOr<std::string> ReadSmallFile(const std::string& path,
                                          absl::string_view what) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return absl::NotFoundError(
        absl::StrCat("no ", what, " ", path, ": ",
                     error ? error.message() : "not a regular file"));
  }
  if (std::filesystem::file_size(path, error) > kMaxConfigBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, " is larger than ", kMaxConfigBytes, " bytes, want a ", what));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return absl::PermissionDeniedError(
        absl::StrCat("cannot read the ", what, " ", path, ": ",
                     std::generic_category().message(errno)));
  }
  // Not with rdbuf(): of an empty file that would be an error.
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The name of the shard that `text` stands for, added to `shards` if it is a
// path; empty for an empty text.
std::string ResolveShard(const std::string& text, const std::string& own_name,
                         std::vector<NamedShard>* shards) {
  for (const NamedShard& shard : *shards) {
    if (shard.name == text) return text;
  }
  if (text.empty()) return "";
  NamedShard shard = ParseNamedShard(text);
  if (shard.path == text) shard.name = own_name;
  shards->push_back(shard);
  return shard.name;
}

absl::Status FillInputs(const v1::ServerConfig& config, ModelConfig* model) {
  if (config.has_sample_shapes()) {
    if (config.sample_shape_size() > 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "sample_shapes is \"", config.sample_shapes(),
          "\" and sample_shape is given as well, want one of them"));
    }
    QS_ASSIGN_OR_RETURN(model->inputs, ParseInputSpecs(config.sample_shapes()));
  } else if (config.sample_shape_size() > 0) {
    model->inputs = {
        {Shape(config.sample_shape().begin(), config.sample_shape().end())}};
  }
  return absl::OkStatus();
}

absl::Status FillModel(const v1::ServerConfig& config, ModelConfig* model) {
  model->path = config.model();
  model->name = config.has_model_name() ? config.model_name()
                                        : ParseNamedShard(config.model()).name;
  QS_RETURN_IF_ERROR(FillInputs(config, model));
  model->preprocessing.mean = {config.mean().begin(), config.mean().end()};
  model->preprocessing.std = {config.std().begin(), config.std().end()};
  if (config.has_scale()) model->preprocessing.scale = config.scale();
  model->labels_path = config.labels();
  if (config.has_engine()) {
    QS_ASSIGN_OR_RETURN(model->engine, ParseEngineChoice(config.engine()));
  }
  model->bf16 = config.bf16();
  model->cache_dir = config.cache_dir();
  model->artifact_dir = config.artifact_dir();
  if (config.has_max_batch()) model->max_batch = config.max_batch();
  return absl::OkStatus();
}

absl::Status FillReading(const v1::ServerConfig& config,
                         ReadShardOptions* reading) {
  if (config.has_resize()) reading->images.resize = config.resize();
  if (config.has_crop()) reading->images.crop = config.crop();
  if (config.has_interpolation()) {
    QS_ASSIGN_OR_RETURN(reading->images.interpolation,
                        ParseInterpolation(config.interpolation()));
  }
  if (config.has_max_samples()) reading->max_samples = config.max_samples();
  if (config.has_max_sample_bytes()) {
    reading->max_sample_bytes = config.max_sample_bytes();
  }
  if (config.has_draw_seed()) reading->seed = config.draw_seed();
  return absl::OkStatus();
}

absl::Status FillQuantization(const v1::ServerConfig& config,
                              QuantizationConfig* quantization) {
  for (const v1::ShardConfig& shard : config.shard()) {
    quantization->shards.push_back({shard.name(), shard.path()});
  }
  quantization->shard_dir = config.shard_dir();
  quantization->calibration_shard = ResolveShard(
      config.calibration_shard(), "calibration", &quantization->shards);
  quantization->test_shard =
      ResolveShard(config.test_shard(), "test", &quantization->shards);
  QS_RETURN_IF_ERROR(FillReading(config, &quantization->reading));
  if (config.has_range_method()) {
    QS_ASSIGN_OR_RETURN(quantization->options.ranges.method,
                        ParseRangeMethod(config.range_method()));
  }
  if (config.has_samples()) quantization->options.samples = config.samples();
  QS_RETURN_IF_ERROR(OverlayOptions(config, &quantization->options));
  GateOptions& gate = quantization->gate;
  if (config.has_max_accuracy_drop()) {
    gate.max_accuracy_drop = config.max_accuracy_drop();
  }
  if (config.has_min_agreement()) gate.min_agreement = config.min_agreement();
  if (config.has_min_sqnr_db()) gate.min_sqnr_db = config.min_sqnr_db();
  return absl::OkStatus();
}

void FillRollout(const v1::ServerConfig& config, RolloutConfig* rollout) {
  rollout->keep_previous = config.keep_previous();
  rollout->require_int8 = config.require_int8();
  if (config.has_int8_percent()) rollout->int8_percent = config.int8_percent();
  if (config.has_shadow_percent()) {
    rollout->shadow_percent = config.shadow_percent();
  }
}

absl::Status FillServedModel(const v1::ServerConfig& config,
                             ServedModelConfig* served) {
  QS_RETURN_IF_ERROR(FillModel(config, &served->model));
  FillRollout(config, &served->rollout);
  return FillQuantization(config, &served->quantization);
}

// Whether one model of several may have the field for itself: those of the
// sections about the model, its quantization and its roll-out.
bool BelongsToModel(int field) {
  using Config = v1::ServerConfig;
  return field < Config::kAddressFieldNumber ||
         field == Config::kMaxBatchFieldNumber ||
         field == Config::kKeepPreviousFieldNumber ||
         field == Config::kRequireInt8FieldNumber ||
         field == Config::kInt8PercentFieldNumber ||
         field == Config::kShadowPercentFieldNumber;
}

// What `inner` sets, over what `outer` does: its lists replace the outer ones,
// except for shards, which add up.
absl::StatusOr<v1::ServerConfig> Merge(const v1::ServerConfig& outer,
                                       const v1::ServerConfig& inner) {
  v1::ServerConfig merged = outer;
  merged.clear_models();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  const google::protobuf::Reflection& reflection = *inner.GetReflection();
  reflection.ListFields(inner, &fields);
  for (const google::protobuf::FieldDescriptor* field : fields) {
    if (!BelongsToModel(field->number())) {
      return absl::InvalidArgumentError(
          absl::StrCat(field->name(),
                       " is set in models { }, but it is of the whole server"));
    }
    const bool adds = field->number() == v1::ServerConfig::kShardFieldNumber;
    if (field->is_repeated() && !adds) reflection.ClearField(&merged, field);
  }
  merged.MergeFrom(inner);
  return merged;
}

absl::Status FillModels(const v1::ServerConfig& config,
                        std::vector<ServedModelConfig>* models) {
  if (config.models_size() == 0) return FillServedModel(config, &(*models)[0]);
  if (config.has_model() || config.has_model_name()) {
    return absl::InvalidArgumentError(
        "model or model_name is set beside models { }, want one of them");
  }
  // Before each of them gets what stands outside.
  QS_RETURN_IF_ERROR(
      CheckModelCount(static_cast<size_t>(config.models_size())));
  models->clear();
  for (const v1::ServerConfig& inner : config.models()) {
    QS_ASSIGN_OR_RETURN(const v1::ServerConfig merged, Merge(config, inner));
    ServedModelConfig& served = models->emplace_back();
    const absl::Status filled = FillServedModel(merged, &served);
    if (!filled.ok()) {
      return absl::Status(
          filled.code(),
          absl::StrCat("model ", served.model.name, ": ", filled.message()));
    }
  }
  return absl::OkStatus();
}

void FillConnections(const v1::ServerConfig& config,
                     ConnectionConfig* connections) {
  if (config.has_keepalive_seconds()) {
    connections->keepalive = absl::Seconds(config.keepalive_seconds());
  }
  if (config.has_max_connection_idle_seconds()) {
    connections->max_idle = absl::Seconds(config.max_connection_idle_seconds());
  }
  if (config.has_max_connection_age_seconds()) {
    connections->max_age = absl::Seconds(config.max_connection_age_seconds());
  }
  if (config.has_reply_timeout_seconds()) {
    connections->reply_timeout = absl::Seconds(config.reply_timeout_seconds());
  }
  if (config.has_receive_buffer_bytes()) {
    connections->receive_buffer_bytes = config.receive_buffer_bytes();
  }
}

void FillNetwork(const v1::ServerConfig& config, NetworkConfig* network) {
  if (config.has_address()) network->address = config.address();
  if (config.has_port()) network->port = config.port();
  if (config.has_metrics_port()) network->metrics_port = config.metrics_port();
  if (config.has_max_message_bytes()) {
    network->max_message_bytes = config.max_message_bytes();
  }
  // absl::Seconds makes infinity of what is no number, and Validate refuses it.
  if (config.has_drain_seconds()) {
    network->drain = absl::Seconds(config.drain_seconds());
  }
  if (config.has_lame_duck_seconds()) {
    network->lame_duck = absl::Seconds(config.lame_duck_seconds());
  }
  network->port_file = config.port_file();
  FillConnections(config, &network->connections);
}

void FillSecurity(const v1::ServerConfig& config, SecurityConfig* security) {
  if (config.has_admin_port()) {
    security->admin_port = config.admin_port();
  } else if (config.has_port() && config.port() == 0) {
    security->admin_port = 0;
  }
  security->admin_token_file = config.admin_token_file();
  security->admin_clients = {config.admin_clients().begin(),
                             config.admin_clients().end()};
  security->tls_cert = config.tls_cert();
  security->tls_key = config.tls_key();
  security->tls_client_ca = config.tls_client_ca();
  security->allow_plaintext_token = config.allow_plaintext_token();
}

absl::Status FillLog(const v1::ServerConfig& config, LogConfig* log) {
  if (config.has_log_format()) {
    QS_ASSIGN_OR_RETURN(log->format, ParseLogFormat(config.log_format()));
  }
  if (config.has_log_level()) {
    QS_ASSIGN_OR_RETURN(log->level, ParseLogLevel(config.log_level()));
  }
  return absl::OkStatus();
}

absl::Status FillOptions(const v1::ServerConfig& config,
                         ServerOptions* options) {
  QS_RETURN_IF_ERROR(FillModels(config, &options->models));
  ServingConfig& serving = options->serving;
  if (config.has_workers()) serving.workers = config.workers();
  if (config.has_queue()) serving.queue_capacity = config.queue();
  if (config.has_stream_window()) {
    serving.stream_window = config.stream_window();
  }
  if (config.has_max_queue_delay_seconds()) {
    serving.max_queue_delay = absl::Seconds(config.max_queue_delay_seconds());
  }
  FillNetwork(config, &options->network);
  FillSecurity(config, &options->security);
  QS_RETURN_IF_ERROR(FillLog(config, &options->log));
  return options->Validate();
}

}  // namespace

absl::StatusOr<LogFormat> ParseLogFormat(absl::string_view name) {
  if (name == "plain") return LogFormat::kPlain;
  if (name == "json") return LogFormat::kJson;
  return absl::InvalidArgumentError(
      absl::StrCat("log_format is \"", name, "\", want plain or json"));
}

absl::StatusOr<LogLevel> ParseLogLevel(absl::string_view name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "info") return LogLevel::kInfo;
  if (name == "warn") return LogLevel::kWarn;
  if (name == "error") return LogLevel::kError;
  return absl::InvalidArgumentError(absl::StrCat(
      "log_level is \"", name, "\", want debug, info, warn or error"));
}

absl::StatusOr<v1::ServerConfig> ReadConfigFile(const std::string& path) {
  QS_ASSIGN_OR_RETURN(const std::string text,
                      ReadSmallFile(path, "configuration file"));
  v1::ServerConfig config;
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  // It descends on the stack; the deepest that makes sense is 3.
  parser.SetRecursionLimit(16);
  google::protobuf::io::ArrayInputStream input(text.data(),
                                               static_cast<int>(text.size()));
  if (!parser.Parse(&input, &config)) {
    return OneLine(
        absl::InvalidArgumentError(absl::StrCat(path, ": ", error.text())));
  }
  return config;
}

absl::StatusOr<ServerOptions> ToServerOptions(const v1::ServerConfig& config) {
  ServerOptions options;
  const absl::Status filled = FillOptions(config, &options);
  // Its names and values may be anything, and messages repeat them.
  if (!filled.ok()) return OneLine(filled);
  return options;
}

NamedShard ParseNamedShard(absl::string_view text) {
  const size_t equals = text.find('=');
  if (equals != absl::string_view::npos &&
      IsValidName(text.substr(0, equals))) {
    return {std::string(text.substr(0, equals)),
            std::string(text.substr(equals + 1))};
  }
  const std::string path(text);
  std::string name = std::filesystem::path(path).stem().string();
  for (char& c : name) {
    if (!IsValidName(absl::string_view(&c, 1)) && c != '.') c = '_';
  }
  return {name.substr(0, 64), path};
}

absl::StatusOr<std::vector<std::string>> ReadLabels(const std::string& path) {
  QS_ASSIGN_OR_RETURN(const std::string text,
                      ReadSmallFile(path, "file of labels"));
  std::vector<std::string> labels;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    labels.emplace_back(absl::StripAsciiWhitespace(line));
  }
  while (!labels.empty() && labels.back().empty()) labels.pop_back();
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i].empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": line ", i + 1, " is empty, want a class name"));
    }
  }
  if (labels.empty() || labels.size() > 65536) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " has ", labels.size(),
                     " class names, want 1 to 65536, one on each line"));
  }
  return labels;
}

}  // namespace quantserve
