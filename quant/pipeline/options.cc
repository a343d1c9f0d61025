#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/pipeline/pipeline.h"

namespace quantserve {

const char* EngineChoiceName(EngineChoice choice) {
  switch (choice) {
    case EngineChoice::kAuto:
      return "auto";
    case EngineChoice::kTorchScript:
      return "torchscript";
    case EngineChoice::kOneDnn:
      return "onednn";
  }
  return "unknown";
}

absl::StatusOr<EngineChoice> ParseEngineChoice(absl::string_view name) {
  for (EngineChoice choice : {EngineChoice::kAuto, EngineChoice::kTorchScript,
                              EngineChoice::kOneDnn}) {
    if (name == EngineChoiceName(choice)) return choice;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "engine \"", name, "\" is unknown, want auto, torchscript or onednn"));
}

absl::Status ModelOptions::Validate() const {
  if (path.empty()) return absl::InvalidArgumentError("model path is empty");
  if (inputs.empty()) {
    return absl::InvalidArgumentError(
        "the shape of a sample is missing, want something like 3,32,32");
  }
  for (const InputSpec& input : inputs) {
    QS_ASSIGN_OR_RETURN(const int64_t elements, NumElements(input.shape));
    if (input.shape.empty() || elements == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("sample shape ", ShapeString(input.shape),
                       " is empty, want something like [3,32,32]"));
    }
  }
  QS_RETURN_IF_ERROR(preprocessing.Validate(inputs[0].shape[0]));
  constexpr int64_t kMaxBatch = 1024;
  if (engine.ladder.empty() || engine.ladder[0] != 1 ||
      engine.ladder.back() > kMaxBatch ||
      std::adjacent_find(engine.ladder.begin(), engine.ladder.end(),
                         std::greater_equal<>()) != engine.ladder.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("batch ladder ", ShapeString(engine.ladder),
                     " must ascend from 1 to at most ", kMaxBatch));
  }
  if (engine.threads < 1 || engine.threads > 1024) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads is ", engine.threads, ", want 1 to 1024"));
  }
  return absl::OkStatus();
}

absl::Status QuantizeOptions::Validate() const {
  QS_RETURN_IF_ERROR(ranges.Validate());
  if (samples < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("samples is ", samples, ", want at least 1"));
  }
  if (batch < 1 || batch > 4096) {
    return absl::InvalidArgumentError(
        absl::StrCat("calibration batch is ", batch, ", want 1 to 4096"));
  }
  if (max_drop && !(*max_drop >= 0 && *max_drop <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_drop is ", *max_drop, ", want 0 to 1"));
  }
  if (min_sqnr_db && !std::isfinite(*min_sqnr_db)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "min_sqnr_db is ", *min_sqnr_db, ", want a finite number"));
  }
  if (min_speedup && !(*min_speedup > 0 && std::isfinite(*min_speedup))) {
    return absl::InvalidArgumentError(
        absl::StrCat("min_speedup is ", *min_speedup, ", want above 0"));
  }
  return absl::OkStatus();
}

}  // namespace quantserve
