// quantize_model: a TorchScript file and a calibration shard in, an INT8
// TorchScript file out.
#include <cstdio>
#include <string>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/pipeline/artifact.h"
#include "quant/pipeline/pipeline.h"
#include "quant/tools/tool.h"

ABSL_FLAG(std::string, model_path, "", "TorchScript model");
ABSL_FLAG(std::string, calibration_data, "", "calibration shard");
ABSL_FLAG(std::string, output, "", "INT8 model to write");
ABSL_FLAG(std::string, observer, "mse", "range method");
ABSL_FLAG(double, percentile, 99.99, "for --observer=percentile");
ABSL_FLAG(int64_t, samples, 512, "calibration samples");
ABSL_FLAG(int64_t, batch_size, 32, "samples in one calibration run");
ABSL_FLAG(double, scale, 1.0 / 255.0, "factor for 8-bit samples");
ABSL_FLAG(std::string, mean, "", "per-channel mean");
ABSL_FLAG(std::string, std, "", "per-channel deviation");
ABSL_FLAG(int, threads, 1, "LibTorch threads");
ABSL_FLAG(bool, verbose, false, "list every layer");

namespace quantserve {
namespace {

constexpr char kTool[] = "quantize_model";
constexpr char kUsage[] =
    R"(quantize_model - post-training static quantization of a TorchScript model

usage: quantize_model --model_path m.pt --calibration_data shard --output m_int8.pt [flags]

  --model_path=FILE        traced, scripted or frozen TorchScript model (required)
  --calibration_data=FILE  samples: CIFAR-10 .bin, .npy, .npz or .pt (required)
  --output=FILE            INT8 TorchScript model to write; torch.jit.load reads it (required)
  --observer=NAME          how ranges are found: mse, minmax, moving_average, percentile [mse]
  --percentile=P           share of values that --observer=percentile keeps, in percent [99.99]
  --samples=N              the shard's first N samples are used [512]
  --batch_size=N           samples in one calibration run [32]
  --scale=X                8-bit samples: x = (raw * scale - mean) / std [1/255]
  --mean=A,B,C             per channel, or one number for all [0]
  --std=A,B,C              per channel, or one number for all [1]
  --threads=N              threads for LibTorch [1]
  --verbose                list every layer

Exit codes: 0 written, 1 failed, 2 bad flags.
)";

void PrintReport(const QuantizedVariant& result, const std::string& output,
                 int64_t bytes) {
  const QuantizationReport& report = result.report;
  int64_t quantized = 0;
  for (const LayerReport& layer : report.layers) {
    quantized += layer.quantized ? 1 : 0;
    if (!layer.quantized || absl::GetFlag(FLAGS_verbose)) {
      std::printf("  %-40s %-16s %s\n", layer.name.c_str(), layer.op.c_str(),
                  layer.quantized
                      ? "INT8"
                      : absl::StrCat("FP32: ", layer.reason).c_str());
    }
  }
  for (const std::string& note : report.notes) {
    std::printf("note: %s\n", note.c_str());
  }
  for (const auto& [phase, duration] : report.phases) {
    std::printf("%-10s %8.2f s\n", phase.c_str(),
                absl::ToDoubleSeconds(duration));
  }
  std::printf("%lld of %zu layers are INT8 (%s, %lld samples)\n",
              static_cast<long long>(quantized), report.layers.size(),
              report.range_method.c_str(),
              static_cast<long long>(report.samples));
  std::printf("%s: %.1f MB\n", output.c_str(),
              static_cast<double>(bytes) / 1e6);
}

absl::Status Run() {
  const std::string output = absl::GetFlag(FLAGS_output);
  QuantizeOptions quantize;
  QS_ASSIGN_OR_RETURN(quantize.ranges.method,
                      ParseRangeMethod(absl::GetFlag(FLAGS_observer)));
  quantize.ranges.percentile = absl::GetFlag(FLAGS_percentile);
  quantize.samples = absl::GetFlag(FLAGS_samples);
  quantize.batch = absl::GetFlag(FLAGS_batch_size);
  QS_RETURN_IF_ERROR(quantize.Validate());
  QS_ASSIGN_OR_RETURN(const Shard shard,
                      ReadShard(absl::GetFlag(FLAGS_calibration_data), {}));
  ModelOptions model;
  model.path = absl::GetFlag(FLAGS_model_path);
  model.sample_shape = shard.sample_shape();
  model.engine.ladder = {1};
  model.engine.threads = absl::GetFlag(FLAGS_threads);
  QS_ASSIGN_OR_RETURN(
      model.preprocessing,
      ParsePreprocessing(absl::GetFlag(FLAGS_scale), absl::GetFlag(FLAGS_mean),
                         absl::GetFlag(FLAGS_std)));
  QS_RETURN_IF_ERROR(model.Validate());
  ConfigureThread(model.engine.threads);
  QS_RETURN_IF_ERROR(Int8SelfTest());
  QS_ASSIGN_OR_RETURN(const auto pipeline, OpenModel(model));
  ProgressBar bar;
  QS_ASSIGN_OR_RETURN(QuantizedVariant result,
                      pipeline->Quantize(quantize, shard, bar.Control()));
  QS_RETURN_IF_ERROR(bar.Control().Report("save", 0, 1));
  QS_RETURN_IF_ERROR(result.save(output));
  QS_RETURN_IF_ERROR(bar.Control().Report("save", 1, 1));
  bar.Finish();
  QS_ASSIGN_OR_RETURN(const int64_t bytes, FileBytes(output));
  PrintReport(result, output, bytes);
  return absl::OkStatus();
}

}  // namespace
}  // namespace quantserve

int main(int argc, char** argv) {
  using namespace quantserve;
  ParseFlags(argc, argv, kUsage);
  for (const auto* flag :
       {&FLAGS_model_path, &FLAGS_calibration_data, &FLAGS_output}) {
    if (absl::GetFlag(*flag).empty()) {
      return UsageFailure(kTool,
                          "--model_path, --calibration_data and --output are "
                          "required");
    }
  }
  const absl::Status status = Run();
  return status.ok() ? kExitOk : Fail(kTool, status);
}
