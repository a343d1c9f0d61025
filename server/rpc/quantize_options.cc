#include "server/rpc/quantize_options.h"

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

// More than any model has layers worth naming.
constexpr int kMaxKept = 4096;

// Errors repeat these.
absl::Status CheckLength(const char* what, const std::string& text) {
  constexpr size_t kLongest = 512;
  if (text.size() <= kLongest) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      what, " has ", text.size(), " bytes, want at most ", kLongest));
}

// What both messages have under the same names.
template <typename Message>
absl::Status OverlayCommon(const Message& message, QuantizeOptions* options) {
  QS_RETURN_IF_ERROR(CheckLength("bias_correction", message.bias_correction()));
  QS_RETURN_IF_ERROR(CheckLength("equalize", message.equalize()));
  for (const std::string& layer : message.keep_fp32()) {
    QS_RETURN_IF_ERROR(CheckLength("a name of keep_fp32", layer));
  }
  if (!message.bias_correction().empty()) {
    QS_ASSIGN_OR_RETURN(options->bias_correction,
                        ParseBiasCorrection(message.bias_correction()));
  }
  if (!message.equalize().empty()) {
    QS_ASSIGN_OR_RETURN(options->equalize,
                        ParseEqualizeMode(message.equalize()));
  }
  if (message.keep_fp32_size() > kMaxKept) {
    return absl::InvalidArgumentError(
        absl::StrCat("keep_fp32 has ", message.keep_fp32_size(),
                     " names, want at most ", kMaxKept));
  }
  if (message.keep_fp32_size() > 0) {
    options->keep_fp32 = {message.keep_fp32().begin(),
                          message.keep_fp32().end()};
  }
  if (message.has_max_drop()) options->max_drop = message.max_drop();
  if (message.has_min_speedup()) options->min_speedup = message.min_speedup();
  return absl::OkStatus();
}

}  // namespace

absl::Status OverlayOptions(const v1::ServerConfig& config,
                            QuantizeOptions* options) {
  QS_RETURN_IF_ERROR(OverlayCommon(config, options));
  if (config.has_budget_sqnr_db()) {
    options->min_sqnr_db = config.budget_sqnr_db();
  }
  return options->Validate();
}

absl::Status OverlayOptions(const v1::QuantizeRequest& request,
                            QuantizeOptions* options) {
  QS_RETURN_IF_ERROR(OverlayCommon(request, options));
  if (request.has_min_sqnr_db()) options->min_sqnr_db = request.min_sqnr_db();
  options->detailed_report = request.report();
  return options->Validate();
}

}  // namespace quantserve
