// An artifact that has everything in it.
#pragma once

#include <limits>

#include "absl/strings/str_cat.h"
#include "quant/base/sha256.h"
#include "quant/pipeline/artifact.h"

namespace quantserve::testing {

inline Artifact FullArtifact() {
  Artifact artifact;
  artifact.inputs = {{kModelInput, Sha256("model")},
                     {"model.inputs", "x[3,32,32]"},
                     {"calibration.shard_sha256", Sha256("shard")},
                     {"calibration.samples", "512"},
                     {"versions.libtorch", "1.13.1"},
                     {"cpu.vnni", "yes"}};
  Recipe& recipe = artifact.recipe;
  recipe.weight_bits = 7;
  recipe.equalizations = {{"a", "b", {0.1f, 3e-30f, 1}}};
  recipe.ranges = {{"x", {{-1.1f, 1.0f / 3}, {-2.3f, 2.3f}}},
                   {"y", {{-0.0f, 3e38f}, {-1e-40f, 1e-40f}}}};
  recipe.bias_shifts = {{"a", {0.1f, -0.7f}}, {"b", {}}};
  recipe.keep_float = {{"c", "the budget wants it"}};
  QuantizationReport& report = artifact.report;
  report.range_method = "mse";
  report.shard = "test.bin";
  report.samples = 512;
  report.held_out = 300;
  report.weight_bits = 7;
  report.int8_macs_share = 0.97;
  LayerReport& layer = report.layers.emplace_back();
  layer.name = "a";
  layer.op = "Conv2d";
  layer.quantized = true;
  layer.output_shape = {1, 16, 32, 32};
  layer.macs = int64_t{1} << 40;
  ActivationReport& activation = layer.activation.emplace();
  activation.range = {-0.5f, 2};
  activation.scale = 0.01f;
  activation.zero_point = 51;
  activation.clipped_share = 1e-4;
  activation.histogram = {{-1, 3}, std::vector<int64_t>(100, 3), 7};
  layer.local_sqnr_db = 40.25;
  layer.cumulative_sqnr_db = std::numeric_limits<double>::infinity();
  layer.fp32_time = absl::Microseconds(12);
  layer.int8_time = absl::Nanoseconds(3500);
  LayerReport& island = report.layers.emplace_back();
  island.name = "c";
  island.op = "aten::softmax";
  island.reason = "no 8-bit form";
  report.trials = {{"ranges mse", 31.5, 0.99, 0.9154, true},
                   {"ranges entropy", -std::numeric_limits<double>::infinity(),
                    0.5, std::nullopt, false}};
  report.budget = BudgetReport{"drop at most 0.01", "0.0039", true};
  report.notes = {"a note with \"quotes\", a \\ and µ"};
  return artifact;
}

}  // namespace quantserve::testing
