// make_demo_model: a labelled image set and a network trained on it, in the
// formats that users bring, from nothing but a seed.
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "quant/base/status_macros.h"
#include "quant/demo/demo_files.h"
#include "quant/demo/demo_model.h"
#include "quant/tools/tool.h"

ABSL_FLAG(std::string, output_dir, "",
          "Written there, made if it is missing. Required.");
ABSL_FLAG(uint64_t, seed, quantserve::DemoOptions().seed,
          "Decides images and first weights.");
ABSL_FLAG(int, epochs, quantserve::DemoOptions().epochs,
          "Rounds of --train_samples new images.");
ABSL_FLAG(int64_t, train_samples, quantserve::DemoOptions().train_samples,
          "Training images of one round.");
ABSL_FLAG(bool, force, false,
          "Makes everything anew, even if it is all there.");

namespace quantserve {
namespace {

namespace fs = std::filesystem;

constexpr char kTool[] = "make_demo_model";

const CommandLine& Line() {
  static const auto& line = *new CommandLine{
      "Draws a labelled image set and trains a small network on it.",
      "make_demo_model --output_dir=DIR [flags]",
      {{"Flags", {"output_dir", "seed", "epochs", "train_samples", "force"}}},
      R"(Files of the directory:
  model.pt         TorchScript, [N,3,32,32] to 10 logits
  calibration.bin  512 images, CIFAR-10 binary
  test.bin         2,000 images
  labels.txt       the ten classes
  manifest.json    options, accuracy, digests

Does nothing if they were made with the same options. The model wants
x = (raw / 255 - 0.5) / 0.25: --mean=0.5 --std=0.25 elsewhere.

Exit codes: 0 all files are there, 1 failed, 2 bad flags.
)"};
  return line;
}

absl::Status MakeDirectory(const std::string& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error || !fs::is_directory(directory, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--output_dir \"", directory, "\" can't be made",
                     error ? ": " : "", error ? error.message() : ""));
  }
  // A run that is cut short must not leave a manifest that seems to fit.
  fs::remove(fs::path(directory) / kDemoManifestFile, error);
  return absl::OkStatus();
}

absl::Status Make(const std::string& directory, const DemoOptions& options) {
  QS_RETURN_IF_ERROR(MakeDirectory(directory));
  const auto in = [&](const char* file) {
    return (fs::path(directory) / file).string();
  };
  const absl::Time start = absl::Now();
  QS_RETURN_IF_ERROR(WriteDemoShards(directory, options.seed));
  TrainProgress last;
  {
    ProgressBar bar;
    const JobControl control = bar.Control();
    QS_RETURN_IF_ERROR(TrainDemoModel(
        options,
        [&](const TrainProgress& progress) {
          last = progress;
          control.on_progress({"train", progress.step + 1, progress.steps});
        },
        in(kDemoModelFile)));
  }
  QS_ASSIGN_OR_RETURN(const double accuracy,
                      MeasureDemoModel(in(kDemoModelFile), in(kDemoTestFile)));
  QS_RETURN_IF_ERROR(WriteDemoManifest(directory, options, accuracy));
  std::printf(
      "trained on %lld images in %.0f s: loss %.3f, training accuracy %.4f\n"
      "%s: accuracy %.4f on %lld test images\n",
      static_cast<long long>(options.epochs * options.train_samples),
      absl::ToDoubleSeconds(absl::Now() - start), last.loss, last.accuracy,
      in(kDemoModelFile).c_str(), accuracy,
      static_cast<long long>(kDemoTestImages));
  return absl::OkStatus();
}

int Main() {
  const std::string directory = absl::GetFlag(FLAGS_output_dir);
  if (directory.empty()) {
    return UsageFailure(kTool, "--output_dir is missing");
  }
  DemoOptions options;
  options.seed = absl::GetFlag(FLAGS_seed);
  options.epochs = absl::GetFlag(FLAGS_epochs);
  options.train_samples = absl::GetFlag(FLAGS_train_samples);
  const absl::Status valid = options.Validate();
  if (!valid.ok()) return UsageFailure(kTool, std::string(valid.message()));
  if (!absl::GetFlag(FLAGS_force) && DemoIsComplete(directory, options)) {
    std::printf("%s: all files are there, made with the same options\n",
                directory.c_str());
    return kExitOk;
  }
  const absl::Status status = Make(directory, options);
  return status.ok() ? kExitOk : Fail(kTool, status);
}

}  // namespace
}  // namespace quantserve

int main(int argc, char** argv) {
  quantserve::ParseFlags(quantserve::kTool, quantserve::Line(), argc, argv);
  return quantserve::Main();
}
