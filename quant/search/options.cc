#include "quant/search/options.h"

#include "absl/strings/str_cat.h"

namespace quantserve {

const char* BiasCorrectionName(BiasCorrection correction) {
  switch (correction) {
    case BiasCorrection::kAuto:
      return "auto";
    case BiasCorrection::kNone:
      return "none";
    case BiasCorrection::kAnalytic:
      return "analytic";
    case BiasCorrection::kEmpirical:
      return "empirical";
  }
  return "unknown";
}

absl::StatusOr<BiasCorrection> ParseBiasCorrection(absl::string_view name) {
  for (BiasCorrection correction :
       {BiasCorrection::kAuto, BiasCorrection::kNone, BiasCorrection::kAnalytic,
        BiasCorrection::kEmpirical}) {
    if (name == BiasCorrectionName(correction)) return correction;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("bias correction \"", name,
                   "\" is unknown, expected auto, none, analytic or "
                   "empirical"));
}

const char* EqualizeModeName(EqualizeMode mode) {
  switch (mode) {
    case EqualizeMode::kAuto:
      return "auto";
    case EqualizeMode::kOn:
      return "on";
    case EqualizeMode::kOff:
      return "off";
  }
  return "unknown";
}

absl::StatusOr<EqualizeMode> ParseEqualizeMode(absl::string_view name) {
  for (EqualizeMode mode :
       {EqualizeMode::kAuto, EqualizeMode::kOn, EqualizeMode::kOff}) {
    if (name == EqualizeModeName(mode)) return mode;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "equalization \"", name, "\" is unknown, expected auto, on or off"));
}

}  // namespace quantserve
