// What a search for a recipe may decide, and what it must keep to.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "quant/ranges/range_estimator.h"

namespace quantserve {

// How biases take back what rounding does to the means of layers. kAuto tries
// the others on held-out samples and keeps the best.
enum class BiasCorrection { kAuto, kNone, kAnalytic, kEmpirical };
// "auto", "none", "analytic", "empirical"; INVALID_ARGUMENT for other names.
const char* BiasCorrectionName(BiasCorrection correction);
absl::StatusOr<BiasCorrection> ParseBiasCorrection(absl::string_view name);

// Cross-layer equalization. kAuto tries it where channels differ strongly and
// keeps it where it helps on held-out samples.
enum class EqualizeMode { kAuto, kOn, kOff };
// "auto", "on", "off"; INVALID_ARGUMENT for other names.
const char* EqualizeModeName(EqualizeMode mode);
absl::StatusOr<EqualizeMode> ParseEqualizeMode(absl::string_view name);

// What INT8 may cost. Layers go back to FP32 until it holds on held-out
// samples.
struct AccuracyBudget {
  // Of top-1 with labels, else of agreement with FP32 (1 - agreement); 0 to 1.
  // Not for models with a single output.
  std::optional<double> max_drop;
  std::optional<double> min_sqnr_db;  // of the outputs

  bool empty() const { return !max_drop && !min_sqnr_db; }
};

struct SearchOptions {
  RangeOptions ranges;
  int64_t samples = 512;  // calibrated on: the shard's first ones
  int64_t batch = 32;     // samples in one run
  int weight_bits = 8;
  BiasCorrection bias_correction = BiasCorrection::kAuto;
  EqualizeMode equalize = EqualizeMode::kAuto;
  AccuracyBudget budget;
  // Layers that stay FP32 whatever the search finds, and why.
  std::map<std::string, std::string> keep_float;
};

}  // namespace quantserve
