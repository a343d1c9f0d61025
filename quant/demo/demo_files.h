// The files that make_demo_model leaves behind, without LibTorch.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace quantserve {

// What decides the files' contents.
struct DemoOptions {
  uint64_t seed = 1;
  int epochs = 4;
  int64_t train_samples = 16000;  // new images of each epoch

  // INVALID_ARGUMENT, naming the flag.
  absl::Status Validate() const;
};

inline constexpr int64_t kDemoCalibrationImages = 512;
inline constexpr int64_t kDemoTestImages = 2000;
// Preprocessing of the model: x = (raw / 255 - mean) / std, for each channel.
inline constexpr double kDemoMean = 0.5;
inline constexpr double kDemoStd = 0.25;

inline constexpr char kDemoModelFile[] = "model.pt";
inline constexpr char kDemoCalibrationFile[] = "calibration.bin";
inline constexpr char kDemoTestFile[] = "test.bin";
inline constexpr char kDemoLabelsFile[] = "labels.txt";
inline constexpr char kDemoManifestFile[] = "manifest.json";

// calibration.bin, test.bin and labels.txt.
absl::Status WriteDemoShards(const std::string& directory, uint64_t seed);

// Writes manifest.json, which names the options, the accuracy and the SHA-256
// of the other files: the last file to be written.
absl::Status WriteDemoManifest(const std::string& directory,
                               const DemoOptions& options, double accuracy);

// Whether the directory's manifest was written for these options and every file
// is as the manifest says.
bool DemoIsComplete(const std::string& directory, const DemoOptions& options);

}  // namespace quantserve
