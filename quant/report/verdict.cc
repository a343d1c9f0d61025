#include "quant/report/verdict.h"

#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "quant/report/format.h"
#include "quant/report/html.h"

namespace quantserve::report {
namespace {

const VariantSummary* Find(const std::vector<VariantSummary>& variants,
                           absl::string_view name) {
  for (const VariantSummary& variant : variants) {
    if (variant.name == name) return &variant;
  }
  for (const VariantSummary& variant : variants) {
    if (absl::StartsWith(variant.name, name)) return &variant;
  }
  return nullptr;
}

std::optional<double> Ratio(double of, double to) {
  if (!(of > 0) || !(to > 0) || !std::isfinite(of) || !std::isfinite(to)) {
    return std::nullopt;
  }
  return of / to;
}

// "3.4× as fast", "1.2× as slow": a factor below one is hard to read.
std::string Speed(double ratio) {
  if (ratio > 0.95 && ratio < 1.05) return "is about as fast as FP32";
  return ratio > 1
             ? absl::StrCat("answers ", FormatRatio(ratio), " as fast")
             : absl::StrCat("answers ", FormatRatio(1 / ratio), " as slowly");
}

std::string Size(double ratio) {
  if (ratio > 0.95 && ratio < 1.05) return "is about as large";
  return ratio > 1 ? absl::StrCat("is ", FormatRatio(ratio), " smaller")
                   : absl::StrCat("is ", FormatRatio(1 / ratio), " larger");
}

bool HasBoth(const Compared& compared) {
  return compared.fp32 != nullptr && compared.int8 != nullptr;
}

// What was measured and is a number.
struct Quality {
  std::optional<double> fp32_accuracy, accuracy, agreement, sqnr_db;
};

Quality QualityOf(const Compared& compared) {
  const auto finite = [](const std::optional<double>& value) {
    return value && std::isfinite(*value) ? value : std::nullopt;
  };
  Quality quality;
  if (compared.int8 != nullptr) {
    quality.accuracy = finite(compared.int8->accuracy);
    quality.agreement = finite(compared.int8->agreement);
    quality.sqnr_db = finite(compared.int8->sqnr_db);
  }
  if (HasBoth(compared))
    quality.fp32_accuracy = finite(compared.fp32->accuracy);
  return quality;
}

std::string QualityClause(const Quality& quality) {
  if (quality.accuracy) {
    return absl::StrCat(
        "is right in ", FormatPercent(*quality.accuracy), " of the samples",
        quality.fp32_accuracy
            ? absl::StrCat(" (FP32: ", FormatPercent(*quality.fp32_accuracy),
                           ")")
            : "");
  }
  if (quality.agreement) {
    return absl::StrCat("agrees with FP32 on ",
                        FormatPercent(*quality.agreement), " of the samples");
  }
  if (quality.sqnr_db) {
    return absl::StrCat("gives FP32’s output with a signal-to-noise ratio of ",
                        FormatDb(*quality.sqnr_db));
  }
  return "";
}

std::string Tile(absl::string_view label, absl::string_view value,
                 absl::string_view detail) {
  return absl::StrCat("<div><dt>", label, "</dt><dd><strong>", value,
                      "</strong><small>", detail, "</small></dd></div>\n");
}

std::string QualityTile(const Quality& quality) {
  if (quality.accuracy && quality.fp32_accuracy) {
    return Tile("Accuracy",
                FormatPoints(*quality.accuracy - *quality.fp32_accuracy),
                absl::StrCat(FormatPercent(*quality.fp32_accuracy), " → ",
                             FormatPercent(*quality.accuracy)));
  }
  if (quality.accuracy) {
    return Tile("Accuracy", FormatPercent(*quality.accuracy), "of INT8");
  }
  if (quality.agreement) {
    return Tile("Agreement", FormatPercent(*quality.agreement),
                quality.sqnr_db
                    ? absl::StrCat("SQNR ", FormatDb(*quality.sqnr_db))
                    : "equal answers");
  }
  if (quality.sqnr_db) {
    return Tile("SQNR", FormatDb(*quality.sqnr_db), "of the output");
  }
  return "";
}

std::string Tiles(const ReportDocument& document, const Compared& compared) {
  std::string tiles = QualityTile(QualityOf(compared));
  if (const auto speed = SpeedUp(compared)) {
    tiles += Tile("Speed", FormatRatio(*speed),
                  absl::StrCat(FormatElapsed(compared.fp32->latency_p50), " → ",
                               FormatElapsed(compared.int8->latency_p50)));
  }
  if (const auto size = Shrinkage(compared)) {
    tiles +=
        Tile("Size", absl::StrCat(absl::StrCat(FormatRatio(*size)), " smaller"),
             absl::StrCat(FormatBytes(compared.fp32->size_bytes), " → ",
                          FormatBytes(compared.int8->size_bytes)));
  }
  if (!document.quantization.layers.empty()) {
    int64_t int8 = 0;
    for (const LayerReport& layer : document.quantization.layers) {
      int8 += layer.quantized ? 1 : 0;
    }
    tiles += Tile(
        "Compute in INT8", FormatPercent(document.quantization.int8_macs_share),
        absl::StrCat(
            FormatCount(int8), " of ",
            Plural(document.quantization.layers.size(), "layer", "layers")));
  }
  return tiles.empty()
             ? ""
             : absl::StrCat("<dl class=\"tiles\">\n", tiles, "</dl>\n");
}

std::string BudgetHtml(const std::optional<BudgetReport>& budget) {
  if (!budget) return "";
  return absl::StrCat("<p class=\"budget ", budget->reached ? "good" : "bad",
                      "\"><strong>",
                      budget->reached ? "✓ Budget reached" : "✗ Budget missed",
                      "</strong> Asked for: ", Escape(budget->wanted),
                      ". Achieved: ", Escape(budget->achieved), ".</p>\n");
}

}  // namespace

Compared ComparedVariants(const ReportDocument& document) {
  return {Find(document.variants, "fp32"), Find(document.variants, "int8")};
}

std::optional<double> SpeedUp(const Compared& compared) {
  if (!HasBoth(compared)) return std::nullopt;
  return Ratio(absl::ToDoubleSeconds(compared.fp32->latency_p50),
               absl::ToDoubleSeconds(compared.int8->latency_p50));
}

std::optional<double> Shrinkage(const Compared& compared) {
  if (!HasBoth(compared)) return std::nullopt;
  return Ratio(static_cast<double>(compared.fp32->size_bytes),
               static_cast<double>(compared.int8->size_bytes));
}

std::string VerdictSentence(const ReportDocument& document) {
  const Compared compared = ComparedVariants(document);
  std::vector<std::string> clauses;
  const std::string quality = QualityClause(QualityOf(compared));
  if (!quality.empty()) clauses.push_back(quality);
  if (const auto speed = SpeedUp(compared)) {
    clauses.push_back(Speed(*speed));
  }
  if (const auto size = Shrinkage(compared)) {
    clauses.push_back(Size(*size));
  }
  const double share = document.quantization.int8_macs_share;
  if (!document.quantization.layers.empty() && std::isfinite(share)) {
    clauses.push_back(absl::StrCat("does ", FormatPercent(share),
                                   " of its multiply–accumulates in 8 bits"));
  }
  if (clauses.empty()) return "Nothing was measured.";
  std::string sentence = "The INT8 model ";
  for (size_t i = 0; i < clauses.size(); ++i) {
    const bool last = i + 1 == clauses.size();
    absl::StrAppend(&sentence, i == 0 ? "" : last ? " and " : ", ", clauses[i]);
  }
  return sentence + ".";
}

std::string VerdictHtml(const ReportDocument& document) {
  return absl::StrCat("<p class=\"verdict\">",
                      Escape(VerdictSentence(document)), "</p>\n",
                      BudgetHtml(document.quantization.budget),
                      Tiles(document, ComparedVariants(document)));
}

}  // namespace quantserve::report
