// The server's configuration file.
#include <set>

#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "server/rpc/config.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/mutate.h"

namespace quantserve::fuzz {
namespace {

void CheckModel(const ServedModelConfig& served) {
  QS_FUZZ_CHECK(!served.model.path.empty());
  QS_FUZZ_CHECK(IsValidName(served.model.name));
  std::set<std::string> shards = {""};  // none
  for (const NamedShard& shard : served.quantization.shards) {
    QS_FUZZ_CHECK(IsValidName(shard.name) && !shard.path.empty());
    QS_FUZZ_CHECK(shards.insert(shard.name).second);
  }
  QS_FUZZ_CHECK(shards.count(served.quantization.calibration_shard) > 0);
  QS_FUZZ_CHECK(shards.count(served.quantization.test_shard) > 0);
  QS_FUZZ_CHECK(!served.model.inputs.empty() ||
                !served.quantization.calibration_shard.empty());
  for (const InputSpec& input : served.model.inputs) {
    QS_FUZZ_CHECK(NumElements(input.shape).value_or(0) > 0);
  }
  const std::vector<int64_t> ladder = BatchLadder(served.model.max_batch);
  QS_FUZZ_CHECK(ladder.front() == 1);
  QS_FUZZ_CHECK(ladder.back() == served.model.max_batch);
  QS_FUZZ_CHECK(
      std::is_sorted(ladder.begin(), ladder.end(), std::less_equal<>()));
}

// What config.proto says of what it takes.
void CheckAccepted(const ServerOptions& options) {
  QS_FUZZ_CHECK(options.Validate().ok());
  QS_FUZZ_CHECK(!options.models.empty() && options.models.size() <= 64);
  std::set<std::string> names;
  for (const ServedModelConfig& served : options.models) {
    CheckModel(served);
    QS_FUZZ_CHECK(names.insert(served.model.name).second);
  }
  const NetworkConfig& network = options.network;
  QS_FUZZ_CHECK(network.port >= 0 && network.port <= 65535);
  QS_FUZZ_CHECK(network.metrics_port >= 0 && network.metrics_port <= 65535);
  QS_FUZZ_CHECK(network.drain >= absl::ZeroDuration() &&
                network.drain <= absl::Hours(24));
  QS_FUZZ_CHECK(options.serving.queue_capacity >= 1);
  const SecurityConfig& security = options.security;
  // An administrative token never crosses a network in the clear by accident.
  QS_FUZZ_CHECK(security.admin_token_file.empty() ||
                !security.tls_cert.empty() || IsLoopback(network.address) ||
                security.allow_plaintext_token);
}

void CheckConfig(const std::string& text, bool first) {
  static const auto& file = *new MemoryFile("server.textproto");
  file.Write(text);
  const auto config = ReadConfigFile(file.path());
  if (!config.ok()) {
    QS_FUZZ_CHECK(first);
    return CheckRefusal(config.status());
  }
  const auto options = ToServerOptions(*config);
  if (!options.ok()) return CheckRefusal(options.status());
  CheckAccepted(*options);
  if (!first) return;
  // Written out and read again it says the same.
  std::string written;
  google::protobuf::TextFormat::PrintToString(*config, &written);
  CheckConfig(written, false);
  const auto again = ReadConfigFile(file.path());
  QS_FUZZ_CHECK(again.ok());
  QS_FUZZ_CHECK(again->DebugString() == config->DebugString());
}

}  // namespace
}  // namespace quantserve::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                          size_t max_size, unsigned int seed) {
  quantserve::v1::ServerConfig config;
  // Half of them as text: here the parser is part of the target.
  return seed % 2 == 0 ? LLVMFuzzerMutate(data, size, max_size)
                       : quantserve::fuzz::MutateMessage(data, size, max_size,
                                                         seed, &config);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quantserve::fuzz::CheckConfig({reinterpret_cast<const char*>(data), size},
                                true);
  return 0;
}
