#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/cpu.h"
#include "quant/base/status_macros.h"
#include "server/rpc/config.h"
#include "server/rpc/quant_server.h"
#include "server/rpc/version.h"
#include "spdlog/spdlog.h"

namespace quantserve {
namespace {

absl::Status CheckLabels(const ServedModelConfig& options,
                         const std::vector<std::string>& names,
                         const ModelInfo& info) {
  const int64_t outputs = info.outputs[0].elements();
  if (names.empty() || static_cast<int64_t>(names.size()) == outputs) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(options.model.labels_path, " has ", names.size(),
                   " class names, the model has ", outputs, " outputs"));
}

// Shards read before the model was: now it is known how many classes there are.
absl::Status CheckClasses(const std::vector<std::shared_ptr<const Shard>>& read,
                          int64_t classes) {
  for (const auto& shard : read) {
    for (int64_t label : shard->labels()) {
      if (label < classes) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("shard ", shard->name(), " has the label ", label,
                       ", the model has ", classes, " outputs"));
    }
  }
  return absl::OkStatus();
}

// The first shard read tells the samples' shapes if the options don't.
absl::StatusOr<std::vector<std::shared_ptr<const Shard>>> ReadShards(
    ServedModelConfig* options, ShardStore* shards) {
  std::vector<std::shared_ptr<const Shard>> read;
  ModelConfig& model = options->model;
  const QuantizationConfig& config = options->quantization;
  shards->Expect(config.reading, model.inputs);
  for (const std::string& name :
       {config.calibration_shard, config.test_shard}) {
    if (name.empty()) continue;
    QS_ASSIGN_OR_RETURN(const auto shard, shards->Pin(name));
    read.push_back(shard);
    if (!model.inputs.empty()) continue;
    model.inputs = shard->input_specs();
    shards->Expect(config.reading, model.inputs);
  }
  QS_RETURN_IF_ERROR(model.CheckPreprocessing());
  return read;
}

// Where kernel choices are kept. Not being able to write there costs the
// measurements, so a home that is missing or read-only is no error.
std::string CacheDirectory(const std::string& configured) {
  if (configured == "none") return "";
  if (!configured.empty()) return configured;
  if (const char* xdg = std::getenv("XDG_CACHE_HOME")) {
    return absl::StrCat(xdg, "/quantserve");
  }
  if (const char* home = std::getenv("HOME")) {
    return absl::StrCat(home, "/.cache/quantserve");
  }
  return "";
}

// Where decisions of quantizations are kept, likewise.
std::string ArtifactDirectory(const std::string& configured,
                              const std::string& cache) {
  if (configured == "none") return "";
  if (!configured.empty()) return configured;
  return cache.empty() ? "" : absl::StrCat(cache, "/artifacts");
}

absl::StatusOr<ModelParts> LoadModel(ServedModelConfig* options) {
  ModelParts parts;
  if (!options->model.labels_path.empty()) {
    QS_ASSIGN_OR_RETURN(parts.class_names,
                        ReadLabels(options->model.labels_path));
  }
  const std::string& shard_dir = options->quantization.shard_dir;
  QS_RETURN_IF_ERROR(ShardDirectory(shard_dir).Check());
  parts.shards =
      std::make_unique<ShardStore>(options->quantization.shards, shard_dir);
  QS_ASSIGN_OR_RETURN(const auto read, ReadShards(options, parts.shards.get()));

  ModelOptions model;
  model.path = options->model.path;
  model.inputs = options->model.inputs;
  model.preprocessing = options->model.preprocessing;
  model.engine.ladder = BatchLadder(options->model.max_batch);
  model.engine_choice = options->model.engine;
  model.cache_dir = CacheDirectory(options->model.cache_dir);
  model.artifact_dir =
      ArtifactDirectory(options->model.artifact_dir, model.cache_dir);
  spdlog::info("loading {}", model.path);
  QS_ASSIGN_OR_RETURN(parts.pipeline, OpenModel(model));
  const ModelInfo& info = parts.pipeline->info();
  if (info.inputs.empty() || info.outputs.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        model.path, " has ", info.inputs.size(), " inputs and ",
        info.outputs.size(), " outputs, want at least one of each"));
  }
  QS_RETURN_IF_ERROR(CheckLabels(*options, parts.class_names, info));
  ReadShardOptions expected = options->quantization.reading;
  expected.num_classes = info.outputs[0].elements();
  QS_RETURN_IF_ERROR(CheckClasses(read, expected.num_classes));
  parts.shards->Expect(expected, options->model.inputs);
  return parts;
}

}  // namespace

absl::StatusOr<ServerParts> LoadParts(ServerOptions* options) {
  ServerParts parts;
  if (options->serving.workers == 0) options->serving.workers = Cpu().cores;
  for (ServedModelConfig& model : options->models) {
    QS_ASSIGN_OR_RETURN(parts.models.emplace_back(), LoadModel(&model));
  }
  parts.configure_thread = [] { ConfigureThread(1); };
  parts.int8_self_test = Int8SelfTest;
  parts.build = {kVersion, kCompiler, LibTorchVersion()};
  return parts;
}

}  // namespace quantserve
