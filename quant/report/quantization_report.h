// What a quantization found out and decided, for people and programs. Plain
// facts: quant/pipeline and quant/search fill them in, report.h shows them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "quant/ranges/range_estimator.h"
#include "quant/tensor/tensor.h"

namespace quantserve {

// How often an activation took which values during calibration.
struct ActivationHistogram {
  Range bounds;  // the smallest and the largest value seen
  std::vector<int64_t>
      counts;         // equal bins over `bounds`, exact zeros left out
  int64_t zeros = 0;  // values that are exactly zero
};

// The 8-bit grid of a layer's output.
struct ActivationReport {
  Range range;  // real numbers that the grid covers
  float scale = 1;
  int zero_point = 0;
  double clipped_share = 0;  // of the observed values, outside `range`; 0 to 1
  ActivationHistogram histogram;  // empty if the method keeps none
};

// One node of the float plan.
struct LayerReport {
  std::string name;
  std::string op;  // "Conv2d", "Linear", …, or the operator's for islands
  bool quantized = false;
  std::string reason;  // why it stayed FP32; empty if quantized
  Shape output_shape;  // for a batch of one
  int64_t macs = 0;    // multiply-accumulates of one sample
  std::optional<ActivationReport> activation;  // none: no 8-bit output
  // Signal to noise of its output against FP32, decibels. Local: only this
  // layer is quantized. Cumulative: everything up to it is.
  std::optional<double> local_sqnr_db;
  std::optional<double> cumulative_sqnr_db;
  // Of one sample at batch 1; none where the engine cannot tell layers apart.
  std::optional<absl::Duration> fp32_time;
  std::optional<absl::Duration> int8_time;
};

// One thing that was tried on held-out samples: "ranges mse", "bias correction
// empirical", "equalization", "keep layer4.0 in FP32".
struct TrialReport {
  std::string what;
  double sqnr_db = 0;              // of the model's output against FP32
  double agreement = 0;            // share of equal top-1, 0 to 1
  std::optional<double> accuracy;  // with labels
  bool kept = false;
};

// What --max_drop and --min_speedup asked for and what came of it.
struct BudgetReport {
  std::string wanted;    // "drop of top-1 at most 0.0100"
  std::string achieved;  // "0.0039 with 3 layers in FP32"
  bool reached = false;
};

inline constexpr char kArtifactLoaded[] = "loaded";

struct QuantizationReport {
  std::string range_method;  // the one that was used, also where "auto" chose
  std::string shard;
  int64_t samples = 0;   // calibrated on
  int64_t held_out = 0;  // samples that decisions were made on
  int weight_bits = 8;   // 7 where the processor lacks VNNI
  // Of the multiply-accumulates, those of layers that run in INT8; 0 to 1.
  double int8_macs_share = 0;
  std::vector<LayerReport> layers;
  std::vector<TrialReport> trials;
  std::optional<BudgetReport> budget;
  std::vector<std::string> notes;
  // Lower-case hex SHA-256 of the recipe: equal inputs give equal digests.
  std::string digest;
  // Why nothing could be loaded from --artifact_dir, or kArtifactLoaded.
  std::string artifact;
  // Wall time of each phase, in order.
  std::vector<std::pair<std::string, absl::Duration>> phases;
};

// A row of the comparison of variants.
struct VariantSummary {
  std::string name;    // "fp32", "int8"
  std::string engine;  // "onednn", "torchscript"
  std::optional<double> accuracy;
  std::optional<double> agreement;          // with fp32
  std::optional<double> sqnr_db;            // against fp32
  absl::Duration latency_p50, latency_p99;  // of one sample, batch 1
  int64_t size_bytes = 0;
};

// Everything that a report page shows.
struct ReportDocument {
  std::string title;  // the model's name
  std::string model_path, model_sha256;
  std::string shard_path, shard_sha256;
  std::string evaluated_on;  // which samples VariantSummary is about
  // Further facts in order: versions, processor, options.
  std::vector<std::pair<std::string, std::string>> facts;
  std::vector<VariantSummary> variants;
  QuantizationReport quantization;
  absl::Time created;
};

}  // namespace quantserve
