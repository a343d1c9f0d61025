// Everything that an operator can set, with its default. Filled from flags and
// the configuration file by server/rpc/config.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "quant/data/preprocessing.h"
#include "quant/data/read_options.h"
#include "quant/eval/gate.h"
#include "quant/pipeline/pipeline.h"
#include "quant/tensor/input_spec.h"

namespace quantserve {

struct ModelConfig {
  std::string path;  // a TorchScript file
  std::string name;  // what requests call it
  // Of one sample, without the batch; empty: the calibration shard's.
  std::vector<InputSpec> inputs;
  Preprocessing preprocessing;
  std::string labels_path;  // one class name on each line; empty: no names
  EngineChoice engine = EngineChoice::kAuto;
  bool bf16 = false;  // serve a third variant with products in BF16
  // Where measurements are kept for the next start; empty: nowhere.
  std::string cache_dir;
  // Where decisions of quantizations are kept for the next start, likewise.
  std::string artifact_dir;
  int max_batch = 8;  // samples in one request, and in one run of the model

  // INVALID_ARGUMENT if the preprocessing can't be that of the inputs. Which of
  // several is made of pixels shows only when they come: then, and while there
  // is none, only the numbers are checked.
  absl::Status CheckPreprocessing() const;
};

// A shard that requests may name.
struct NamedShard {
  std::string name;
  std::string path;
};

struct QuantizationConfig {
  std::vector<NamedShard> shards;
  // A directory whose entries requests may name as well; empty: none.
  std::string shard_dir;
  // Names in `shards`. Without a calibration shard only FP32 is served until a
  // Quantize names one; without a test shard variants are compared on a
  // held-out part of the calibration shard.
  std::string calibration_shard;
  std::string test_shard;
  // How each is read; the model says what is expected of samples and labels.
  ReadShardOptions reading;
  // How to quantize, unless a request says otherwise. Validated by
  // server/rpc/config.h, as only the pipeline can.
  QuantizeOptions options;
  GateOptions gate;
};

// How a new INT8 variant comes to serve.
struct RolloutConfig {
  bool require_int8 = false;   // not ready without INT8
  bool keep_previous = false;  // in memory, for Rollback
  int int8_percent = 100;      // of the requests that name no variant
  int shadow_percent = 0;      // of all requests, see Shadow
};

// One model, how it is quantized, and how the result is rolled out.
struct ServedModelConfig {
  ModelConfig model;
  QuantizationConfig quantization;
  RolloutConfig rollout;

  // INVALID_ARGUMENT that names the setting, its value and its range.
  absl::Status Validate() const;
};

// What health calls the process itself: SERVING from when it listens to its
// end, whatever it serves. No model may have the name.
constexpr absl::string_view kLiveName = "live";

// What all models share.
struct ServingConfig {
  int workers = 0;           // threads that run models; 0: one for each core
  int queue_capacity = 256;  // requests that may wait for a worker
  // How long a request may wait for others to be run with.
  absl::Duration max_queue_delay = absl::ZeroDuration();
  int stream_window = 32;  // requests of one stream that may be unanswered
};

// How long peers may keep what they hold, and how much: each wait for one has
// an end.
struct ConnectionConfig {
  // A connection on which nothing comes for this long is asked whether its peer
  // is still there, and closed without an answer in the same time.
  absl::Duration keepalive = absl::Seconds(30);
  // Connections without a call are closed; clients connect again by themselves.
  // Zero: they stay.
  absl::Duration max_idle = absl::Minutes(10);
  // Then a connection takes no new calls, so that clients spread over replicas
  // again; what still runs after as long once more is cut off. Not on the
  // administrative port. Zero: never.
  absl::Duration max_age = absl::Hours(1);
  // How long a reply may wait for its client to take it; then the call is
  // cancelled.
  absl::Duration reply_timeout = absl::Minutes(1);
  // Memory for what is being received, of all connections of a port; beyond it
  // calls are refused, those that hold most of it first.
  int64_t receive_buffer_bytes = 512 << 20;

  // INVALID_ARGUMENT that names the setting, its value and its range.
  absl::Status Validate() const;
};

struct NetworkConfig {
  // Loopback unless the operator says otherwise.
  std::string address = "127.0.0.1";
  int port = 8001;          // gRPC; 0: any free one
  int metrics_port = 8002;  // Prometheus; 0: any free one
  int max_message_bytes = 16 << 20;
  // How long calls are still taken after SIGTERM, while health says
  // NOT_SERVING: until load balancers have noticed.
  absl::Duration lame_duck = absl::ZeroDuration();
  // How long requests in flight may take after that.
  absl::Duration drain = absl::Seconds(30);
  // The ports as JSON, written once the server listens; empty: not written.
  std::string port_file;
  ConnectionConfig connections;
};

// Who may do what. Secrets are in files, never in flags.
struct SecurityConfig {
  // What operators present as "authorization: Bearer TOKEN" with administrative
  // calls; empty: no token is accepted.
  std::string admin_token_file;
  // Names of verified client certificates that may administrate.
  std::vector<std::string> admin_clients;
  // A second gRPC port, always on 127.0.0.1, where administrative calls need no
  // credentials. 0: any free one; -1: none.
  int admin_port = 8003;
  // PEM files. With a certificate the main port speaks TLS; with a client CA it
  // takes only clients whose certificates that has signed.
  std::string tls_cert, tls_key, tls_client_ca;
  // A token in the clear, on a network that the operator trusts.
  bool allow_plaintext_token = false;
};

enum class LogFormat { kPlain, kJson };
enum class LogLevel { kDebug, kInfo, kWarn, kError };

struct LogConfig {
  LogFormat format = LogFormat::kPlain;
  LogLevel level = LogLevel::kInfo;  // and above; debug tells of every call
};

struct ServerOptions {
  // At least one, names differing.
  std::vector<ServedModelConfig> models = {ServedModelConfig()};
  ServingConfig serving;
  NetworkConfig network;
  SecurityConfig security;
  LogConfig log;

  // As above; where there are several models the message names the model.
  absl::Status Validate() const;
};

// INVALID_ARGUMENT unless a server may have so many: 1 to 64.
absl::Status CheckModelCount(size_t models);

// Whether `name` may name a shard or a model: 1 to 64 letters, digits, "-",
// "_" and ".", no leading ".".
bool IsValidName(absl::string_view name);

// Whether `address` is this machine's own: 127.0.0.0/8, ::1 or localhost.
bool IsLoopback(absl::string_view address);

// The batch sizes to compile for requests of up to `max_batch` samples: powers
// of two, and max_batch itself.
std::vector<int64_t> BatchLadder(int max_batch);

}  // namespace quantserve
