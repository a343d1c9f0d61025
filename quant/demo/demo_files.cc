#include "quant/demo/demo_files.h"

#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "quant/base/atomic_file.h"
#include "quant/base/sha256.h"
#include "quant/base/status_macros.h"
#include "quant/demo/images.h"

namespace quantserve {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Goes up whenever images, network or training change.
constexpr int kVersion = 1;

constexpr const char* kContents[] = {kDemoModelFile, kDemoCalibrationFile,
                                     kDemoTestFile, kDemoLabelsFile};

std::string In(const std::string& directory, const char* file) {
  return (fs::path(directory) / file).string();
}

absl::Status WriteShard(const std::string& path, uint64_t seed, DemoSplit split,
                        int64_t count) {
  std::string bytes;
  bytes.reserve(count * (1 + kDemoImageBytes));
  std::array<uint8_t, kDemoImageBytes> pixels;
  for (int64_t i = 0; i < count; ++i) {
    bytes.push_back(static_cast<char>(
        DrawDemoImage(seed, split, i, absl::MakeSpan(pixels))));
    bytes.append(pixels.begin(), pixels.end());
  }
  return WriteFileAtomically(path, bytes);
}

json OptionsJson(const DemoOptions& options) {
  return {{"version", kVersion},
          {"seed", options.seed},
          {"epochs", options.epochs},
          {"train_samples", options.train_samples}};
}

}  // namespace

absl::Status DemoOptions::Validate() const {
  constexpr int kMaxEpochs = 1000;
  constexpr int64_t kMinSamples = 64, kMaxSamples = 10'000'000;
  if (epochs < 1 || epochs > kMaxEpochs) {
    return absl::InvalidArgumentError(
        absl::StrCat("--epochs is ", epochs, ", expected 1 to ", kMaxEpochs));
  }
  if (train_samples < kMinSamples || train_samples > kMaxSamples) {
    return absl::InvalidArgumentError(
        absl::StrCat("--train_samples is ", train_samples, ", expected ",
                     kMinSamples, " to ", kMaxSamples));
  }
  return absl::OkStatus();
}

absl::Status WriteDemoShards(const std::string& directory, uint64_t seed) {
  QS_RETURN_IF_ERROR(WriteShard(In(directory, kDemoCalibrationFile), seed,
                                DemoSplit::kCalibration,
                                kDemoCalibrationImages));
  QS_RETURN_IF_ERROR(WriteShard(In(directory, kDemoTestFile), seed,
                                DemoSplit::kTest, kDemoTestImages));
  std::string labels;
  for (const char* name : kDemoClassNames) absl::StrAppend(&labels, name, "\n");
  return WriteFileAtomically(In(directory, kDemoLabelsFile), labels);
}

absl::Status WriteDemoManifest(const std::string& directory,
                               const DemoOptions& options, double accuracy) {
  json manifest = {{"options", OptionsJson(options)},
                   {"accuracy", accuracy},
                   {"sample_shape", {3, kDemoSide, kDemoSide}},
                   {"preprocessing",
                    {{"mean", {kDemoMean, kDemoMean, kDemoMean}},
                     {"std", {kDemoStd, kDemoStd, kDemoStd}}}}};
  for (const char* file : kContents) {
    QS_ASSIGN_OR_RETURN(manifest["sha256"][file],
                        Sha256File(In(directory, file)));
  }
  return WriteFileAtomically(In(directory, kDemoManifestFile),
                             manifest.dump(2) + "\n");
}

bool DemoIsComplete(const std::string& directory, const DemoOptions& options) {
  std::ifstream in(In(directory, kDemoManifestFile));
  const json manifest = json::parse(in, nullptr, /*allow_exceptions=*/false);
  if (!manifest.is_object() ||
      manifest.value("options", json()) != OptionsJson(options)) {
    return false;
  }
  const json digests = manifest.value("sha256", json::object());
  for (const char* file : kContents) {
    const auto digest = Sha256File(In(directory, file));
    if (!digest.ok() || digests.value(file, json()) != *digest) return false;
  }
  return true;
}

}  // namespace quantserve
