#include "server/rpc/flags.h"

#include <optional>
#include <vector>

#include "absl/flags/flag.h"
#include "client/cli/numbers.h"
#include "quant/base/status_macros.h"
#include "server/core/server_options.h"
#include "server/rpc/config.h"

ABSL_FLAG(std::string, config, "",
          "Configuration file in protobuf's text format; it says what these "
          "flags say, under the same names. Flags win.");
ABSL_FLAG(std::string, model, "", "TorchScript file to serve.");
ABSL_FLAG(std::string, model_name, "",
          "What requests call the model. Default: the file's name without its "
          "ending.");
ABSL_FLAG(std::string, sample_shape, "",
          "Shape of one sample without the batch, e.g. 3,32,32; several inputs "
          "have \";\" between them and integers \"i64:\" before them, e.g. "
          "\"i64:16;3,32,32\" (in the file: sample_shapes). Default: the "
          "calibration shard's.");
ABSL_FLAG(std::string, mean, "",
          "Subtracted from scaled 8-bit samples: one number, or one for each "
          "channel, e.g. 0.485,0.456,0.406. Default: 0.");
ABSL_FLAG(std::string, std, "",
          "What they are divided by then: one number, or one for each channel. "
          "Default: 1.");
ABSL_FLAG(double, scale, quantserve::Preprocessing().scale,
          "What raw 8-bit samples are multiplied by first.");
ABSL_FLAG(std::string, labels, "",
          "File with one class name on each line, in the order of the model's "
          "output.");
ABSL_FLAG(std::string, engine, "auto",
          "Engine that runs both variants: auto, torchscript, onednn. auto "
          "times them and takes the fastest correct one.");
ABSL_FLAG(bool, bf16, false,
          "Serves a third variant, bf16, whose products are computed in BF16. "
          "Needs a processor that has it. The routing policy never picks it.");
ABSL_FLAG(std::string, cache_dir, "",
          "Directory that keeps which kernels are fastest here, so that a "
          "restart does not measure again; none: measure at every start. "
          "Default: quantserve in XDG_CACHE_HOME or ~/.cache.");
ABSL_FLAG(std::string, artifact_dir, "",
          "Directory that keeps what quantizations decided, so that a restart "
          "with the same model, shard, options and versions loads instead of "
          "calibrating; replicas may share it. none: calibrate at every start. "
          "Default: artifacts in the --cache_dir.");
ABSL_FLAG(std::string, calibration_shard, "",
          "Samples to calibrate on at the start: PATH, NAME=PATH, or the NAME "
          "of a --shard. A PATH alone is named \"calibration\". Formats: .bin "
          "(CIFAR-10 binary), .npy, .npz, .pt, or a folder of images. Without "
          "one, FP32 alone is served until a Quantize names a shard.");
ABSL_FLAG(std::string, test_shard, "",
          "Samples to judge variants by; given like --calibration_shard, a "
          "PATH alone is named \"test\". Without one, a held-out part of the "
          "calibration shard.");
ABSL_FLAG(std::vector<std::string>, shard, {},
          "More shards that requests may name: NAME=PATH, with commas between "
          "them.");
ABSL_FLAG(
    std::string, shard_dir, "",
    "Directory of shards that requests may name by the names of its files "
    "and folders. Links that lead out of it are refused.");
ABSL_FLAG(int32_t, resize, quantserve::ImageOptions().resize,
          "Images of a folder: pixels of the shorter side, as torchvision's "
          "Resize has it. 0: not resized.");
ABSL_FLAG(int32_t, crop, quantserve::ImageOptions().crop,
          "Images of a folder: side of the square cut from the middle, as "
          "torchvision's CenterCrop has it. 0: not cropped.");
ABSL_FLAG(std::string, interpolation, "bilinear",
          "How images are resized, with PIL's antialiasing: bilinear or "
          "bicubic.");
ABSL_FLAG(int64_t, max_samples, quantserve::ReadShardOptions().max_samples,
          "If a shard holds more samples, this many are drawn at random. 0: "
          "all.");
ABSL_FLAG(int64_t, max_sample_bytes,
          quantserve::ReadShardOptions().max_sample_bytes,
          "If a shard's samples take more memory, as many as fit are drawn.");
ABSL_FLAG(uint64_t, draw_seed, quantserve::ReadShardOptions().seed,
          "Which samples are drawn, and the order of a folder's: the same "
          "seed, the same samples.");
ABSL_FLAG(std::string, range_method, "mse",
          "How ranges are taken from observed values: minmax, moving_average, "
          "percentile, mse, entropy, auto.");
ABSL_FLAG(int64_t, samples, quantserve::QuantizeOptions().samples,
          "Samples to calibrate on.");
ABSL_FLAG(std::string, bias_correction, "auto",
          "How biases take back the mean error: none, analytic, empirical; "
          "auto keeps the best on held-out samples.");
ABSL_FLAG(std::string, equalize, "auto",
          "Cross-layer equalization: on, off; auto keeps it where it helps on "
          "held-out samples.");
ABSL_FLAG(std::vector<std::string>, keep_fp32, {},
          "Layers that stay FP32, as quantctl quantize --layers names them, "
          "with commas between them.");
ABSL_FLAG(
    std::optional<double>, max_drop, std::nullopt,
    "Budget: most that top-1 may drop (agreement with FP32, without "
    "labels), 0 to 1. Layers go back to FP32 until it holds; if it can't, "
    "INT8 is not served.");
ABSL_FLAG(std::optional<double>, budget_sqnr_db, std::nullopt,
          "Budget: least signal to quantization noise of the outputs, in "
          "decibels, kept the same way.");
ABSL_FLAG(std::optional<double>, min_speedup, std::nullopt,
          "Budget: least speed-up against FP32 at batch 1. Above 0.");
ABSL_FLAG(double, max_accuracy_drop,
          quantserve::GateOptions().max_accuracy_drop,
          "Gate on labelled samples: how much lower than FP32's the accuracy "
          "of INT8 may be.");
ABSL_FLAG(double, min_agreement, quantserve::GateOptions().min_agreement,
          "Gate without labels: the share of samples on which INT8 must answer "
          "as FP32 does.");
ABSL_FLAG(double, min_sqnr_db, quantserve::GateOptions().min_sqnr_db,
          "Gate for regressors without labels: signal to quantization noise, "
          "in decibels.");
ABSL_FLAG(std::string, address, quantserve::NetworkConfig().address,
          "Address to listen on. 0.0.0.0 (a container needs it) opens Predict "
          "and GetStatus to the whole network.");
ABSL_FLAG(int32_t, port, quantserve::NetworkConfig().port,
          "gRPC port; 0: any free one.");
ABSL_FLAG(int32_t, metrics_port, quantserve::NetworkConfig().metrics_port,
          "Port of the Prometheus metrics, /metrics; 0: any free one.");
ABSL_FLAG(std::string, port_file, "",
          "File that gets the ports as JSON, "
          "{\"grpc\":…,\"metrics\":…,\"admin\":…}, once "
          "the server listens.");
ABSL_FLAG(int32_t, max_message_bytes,
          quantserve::NetworkConfig().max_message_bytes,
          "Largest message that is taken.");
ABSL_FLAG(double, drain_seconds,
          absl::ToDoubleSeconds(quantserve::NetworkConfig().drain),
          "How long requests in flight may take after SIGTERM.");
ABSL_FLAG(int32_t, workers, quantserve::ServingConfig().workers,
          "Threads that run the model; 0: one for each core.");
ABSL_FLAG(int32_t, queue, quantserve::ServingConfig().queue_capacity,
          "Requests that may wait for a worker; more get UNAVAILABLE.");
ABSL_FLAG(
    int32_t, max_batch, quantserve::ModelConfig().max_batch,
    "Largest number of samples in one request, and in one run of the model.");
ABSL_FLAG(double, max_queue_delay_seconds, 0,
          "How long a request may wait for others to be run with. 0: it is run "
          "as soon as a worker is free, with what waits then.");
ABSL_FLAG(int32_t, stream_window, quantserve::ServingConfig().stream_window,
          "Requests of one PredictStream that may be unanswered; it is read no "
          "further then.");
ABSL_FLAG(int32_t, admin_port, quantserve::SecurityConfig().admin_port,
          "gRPC port on 127.0.0.1, whatever the address, where Quantize and "
          "other administrative calls need no credentials; 0: any free one, "
          "which is the default with --port=0; -1: none.");
ABSL_FLAG(std::string, admin_token_file, "",
          "File with the token that operators present with administrative "
          "calls on the main port.");
ABSL_FLAG(std::vector<std::string>, admin_clients, {},
          "Names in client certificates whose holders may administrate, with "
          "commas between them.");
ABSL_FLAG(std::string, tls_cert, "",
          "PEM file with the server's certificate and those between it and its "
          "CA: the main port speaks TLS.");
ABSL_FLAG(std::string, tls_key, "", "PEM file with the certificate's key.");
ABSL_FLAG(std::string, tls_client_ca, "",
          "PEM file with the CA of clients: only those with a certificate of "
          "its are taken.");
ABSL_FLAG(bool, require_int8, false,
          "Ready only once INT8 is served; else FP32 is enough.");
ABSL_FLAG(int32_t, int8_percent, quantserve::RolloutConfig().int8_percent,
          "Of the requests that name no variant, how many INT8 gets while it "
          "is served; quantctl route changes it.");
ABSL_FLAG(int32_t, shadow_percent, quantserve::RolloutConfig().shadow_percent,
          "Of the answered requests, how many are run again on the candidate, "
          "or else on the other of FP32 and INT8, to compare the answers, in "
          "time that nothing else wants; quantctl route changes it.");
ABSL_FLAG(bool, keep_previous, false,
          "Keeps the INT8 variant that was replaced last in memory, for "
          "quantctl rollback.");
ABSL_FLAG(double, lame_duck_seconds,
          absl::ToDoubleSeconds(quantserve::NetworkConfig().lame_duck),
          "How long calls are still taken after SIGTERM while health says "
          "NOT_SERVING, so that load balancers notice.");
ABSL_FLAG(double, keepalive_seconds,
          absl::ToDoubleSeconds(quantserve::ConnectionConfig().keepalive),
          "How long a connection may be silent until its peer is asked whether "
          "it is there, and how long the answer may take.");
ABSL_FLAG(double, max_connection_idle_seconds,
          absl::ToDoubleSeconds(quantserve::ConnectionConfig().max_idle),
          "Closes connections that had no call for this long; 0: never.");
ABSL_FLAG(double, max_connection_age_seconds,
          absl::ToDoubleSeconds(quantserve::ConnectionConfig().max_age),
          "How old a connection of the main port gets until its client is told "
          "to open another, so that clients spread over replicas again; calls "
          "that still run after as long once more are cut off. 0: never.");
ABSL_FLAG(double, reply_timeout_seconds,
          absl::ToDoubleSeconds(quantserve::ConnectionConfig().reply_timeout),
          "How long a reply may wait for its client to take it; then the call "
          "is cancelled.");
ABSL_FLAG(
    int64_t, receive_buffer_bytes,
    quantserve::ConnectionConfig().receive_buffer_bytes,
    "Memory for what is being received, of all connections of a port; "
    "beyond it calls are refused with RESOURCE_EXHAUSTED or UNAVAILABLE.");
ABSL_FLAG(bool, allow_plaintext_token, false,
          "Takes the token without TLS, on a network that is trusted.");
ABSL_FLAG(std::string, log_format, "plain",
          "plain: lines for people; json: an object on each line.");
ABSL_FLAG(std::string, log_level, "info",
          "What is logged, and what is worse: debug (every call), info "
          "(administrative calls, what is served), warn, error.");
ABSL_FLAG(bool, verbose, false, "Short for --log_level=debug.");
ABSL_FLAG(bool, version, false, "Prints the version and exits.");

namespace quantserve {
namespace {

bool Given(const std::set<std::string>& given, const char* name) {
  return given.count(name) > 0;
}

// One input of numbers has a field that is older than the other kinds.
absl::Status OverlayShape(const std::string& text, v1::ServerConfig* config) {
  config->clear_sample_shape();
  config->clear_sample_shapes();
  if (text.find_first_of(";:") != std::string::npos) {
    config->set_sample_shapes(text);
    return absl::OkStatus();
  }
  QS_ASSIGN_OR_RETURN(const auto shape, ParseIntegers("sample_shape", text));
  *config->mutable_sample_shape() = {shape.begin(), shape.end()};
  return absl::OkStatus();
}

absl::Status OverlayLists(const std::set<std::string>& given,
                          v1::ServerConfig* config) {
  if (Given(given, "sample_shape")) {
    QS_RETURN_IF_ERROR(OverlayShape(absl::GetFlag(FLAGS_sample_shape), config));
  }
  if (Given(given, "mean")) {
    QS_ASSIGN_OR_RETURN(const auto mean,
                        ParseNumbers("mean", absl::GetFlag(FLAGS_mean)));
    *config->mutable_mean() = {mean.begin(), mean.end()};
  }
  if (Given(given, "std")) {
    QS_ASSIGN_OR_RETURN(const auto std_,
                        ParseNumbers("std", absl::GetFlag(FLAGS_std)));
    *config->mutable_std() = {std_.begin(), std_.end()};
  }
  if (Given(given, "keep_fp32")) {
    const auto layers = absl::GetFlag(FLAGS_keep_fp32);
    *config->mutable_keep_fp32() = {layers.begin(), layers.end()};
  }
  if (Given(given, "admin_clients")) {
    const auto clients = absl::GetFlag(FLAGS_admin_clients);
    *config->mutable_admin_clients() = {clients.begin(), clients.end()};
  }
  // Shards of both are there; a name that both have is an error.
  for (const std::string& text : absl::GetFlag(FLAGS_shard)) {
    const NamedShard shard = ParseNamedShard(text);
    v1::ShardConfig* entry = config->add_shard();
    entry->set_name(shard.name);
    entry->set_path(shard.path);
  }
  return absl::OkStatus();
}

// Copies a flag that was given to the field of the same name.
#define QS_OVERLAY(name) \
  if (Given(given, #name)) config->set_##name(absl::GetFlag(FLAGS_##name))

// The same of one that may have no value.
#define QS_OVERLAY_OPTIONAL(name)                                     \
  if (Given(given, #name) && absl::GetFlag(FLAGS_##name).has_value()) \
  config->set_##name(*absl::GetFlag(FLAGS_##name))

void OverlayScalars(const std::set<std::string>& given,
                    v1::ServerConfig* config) {
  QS_OVERLAY(model);
  QS_OVERLAY(model_name);
  QS_OVERLAY(scale);
  QS_OVERLAY(labels);
  QS_OVERLAY(engine);
  QS_OVERLAY(bf16);
  QS_OVERLAY(cache_dir);
  QS_OVERLAY(artifact_dir);
  QS_OVERLAY(calibration_shard);
  QS_OVERLAY(test_shard);
  QS_OVERLAY(shard_dir);
  QS_OVERLAY(resize);
  QS_OVERLAY(crop);
  QS_OVERLAY(interpolation);
  QS_OVERLAY(max_samples);
  QS_OVERLAY(max_sample_bytes);
  QS_OVERLAY(draw_seed);
  QS_OVERLAY(range_method);
  QS_OVERLAY(samples);
  QS_OVERLAY(bias_correction);
  QS_OVERLAY(equalize);
  QS_OVERLAY_OPTIONAL(max_drop);
  QS_OVERLAY_OPTIONAL(budget_sqnr_db);
  QS_OVERLAY_OPTIONAL(min_speedup);
  QS_OVERLAY(max_accuracy_drop);
  QS_OVERLAY(min_agreement);
  QS_OVERLAY(min_sqnr_db);
  QS_OVERLAY(address);
  QS_OVERLAY(port);
  QS_OVERLAY(metrics_port);
  QS_OVERLAY(workers);
  QS_OVERLAY(queue);
  QS_OVERLAY(max_batch);
  QS_OVERLAY(max_queue_delay_seconds);
  QS_OVERLAY(stream_window);
  QS_OVERLAY(max_message_bytes);
  QS_OVERLAY(drain_seconds);
  QS_OVERLAY(lame_duck_seconds);
  QS_OVERLAY(require_int8);
  QS_OVERLAY(keep_previous);
  QS_OVERLAY(int8_percent);
  QS_OVERLAY(shadow_percent);
  QS_OVERLAY(port_file);
  QS_OVERLAY(keepalive_seconds);
  QS_OVERLAY(max_connection_idle_seconds);
  QS_OVERLAY(max_connection_age_seconds);
  QS_OVERLAY(reply_timeout_seconds);
  QS_OVERLAY(receive_buffer_bytes);
  QS_OVERLAY(log_format);
  QS_OVERLAY(log_level);
  if (absl::GetFlag(FLAGS_verbose)) config->set_log_level("debug");
  QS_OVERLAY(admin_port);
  QS_OVERLAY(admin_token_file);
  QS_OVERLAY(tls_cert);
  QS_OVERLAY(tls_key);
  QS_OVERLAY(tls_client_ca);
  QS_OVERLAY(allow_plaintext_token);
}

#undef QS_OVERLAY
#undef QS_OVERLAY_OPTIONAL

}  // namespace

const CommandLine& ServerCommandLine() {
  static const auto& line = *new CommandLine{
      "Serves a TorchScript model in FP32 and, quantized at the start, in "
      "INT8.",
      "quantserve_server --model=FILE --calibration_shard=FILE [flags]",
      {{"Model",
        {"model", "model_name", "sample_shape", "mean", "std", "scale",
         "labels", "engine", "bf16", "cache_dir", "artifact_dir"}},
       {"Quantization",
        {"calibration_shard", "test_shard", "shard", "shard_dir",
         "range_method", "samples", "bias_correction", "equalize", "keep_fp32",
         "max_drop", "budget_sqnr_db", "min_speedup", "max_accuracy_drop",
         "min_agreement", "min_sqnr_db"}},
       {"Reading shards",
        {"resize", "crop", "interpolation", "max_samples", "max_sample_bytes",
         "draw_seed"}},
       {"Serving",
        {"workers", "queue", "max_batch", "max_queue_delay_seconds",
         "stream_window"}},
       {"Network",
        {"address", "port", "metrics_port", "port_file", "max_message_bytes",
         "lame_duck_seconds", "drain_seconds", "keepalive_seconds",
         "max_connection_idle_seconds", "max_connection_age_seconds",
         "reply_timeout_seconds", "receive_buffer_bytes"}},
       {"Roll-out",
        {"require_int8", "int8_percent", "shadow_percent", "keep_previous"}},
       {"Security",
        {"admin_port", "admin_token_file", "admin_clients", "tls_cert",
         "tls_key", "tls_client_ca", "allow_plaintext_token"}},
       {"Other", {"config", "log_format", "log_level", "verbose", "version"}}},
      "Example:\n"
      "  quantserve_server --model=resnet20.pt \\\n"
      "      --calibration_shard=calibration.bin --test_shard=test.bin \\\n"
      "      --mean=0.485,0.456,0.406 --std=0.229,0.224,0.225\n"
      "\n"
      "Exit codes: 0 after SIGTERM or SIGINT, 1 if the server can't start, 2 "
      "for a\nmistake on the command line or in the configuration file.\n"};
  return line;
}

absl::StatusOr<v1::ServerConfig> ConfigFromFlags(
    const std::set<std::string>& given) {
  v1::ServerConfig config;
  if (Given(given, "config")) {
    QS_ASSIGN_OR_RETURN(config, ReadConfigFile(absl::GetFlag(FLAGS_config)));
  }
  OverlayScalars(given, &config);
  QS_RETURN_IF_ERROR(OverlayLists(given, &config));
  return config;
}

bool VersionRequested() { return absl::GetFlag(FLAGS_version); }

}  // namespace quantserve
