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

std::string QualityClause(const Compared& compared) {
  if (compared.int8 == nullptr) return "";
  const VariantSummary& int8 = *compared.int8;
  if (int8.accuracy) {
    return absl::StrCat(
        "is right in ", FormatPercent(*int8.accuracy), " of the samples",
        HasBoth(compared) && compared.fp32->accuracy
            ? absl::StrCat(" (FP32: ", FormatPercent(*compared.fp32->accuracy),
                           ")")
            : "");
  }
  if (int8.agreement) {
    return absl::StrCat("agrees with FP32 on ", FormatPercent(*int8.agreement),
                        " of the samples");
  }
  if (int8.sqnr_db) {
    return absl::StrCat("gives FP32’s output with a signal-to-noise ratio of ",
                        FormatDb(*int8.sqnr_db));
  }
  return "";
}

std::string Tile(absl::string_view label, absl::string_view value,
                 absl::string_view detail) {
  return absl::StrCat("<div><dt>", label, "</dt><dd><strong>", value,
                      "</strong><small>", detail, "</small></dd></div>\n");
}

std::string QualityTile(const Compared& compared) {
  if (compared.int8 == nullptr) return "";
  const VariantSummary& int8 = *compared.int8;
  if (int8.accuracy && HasBoth(compared) && compared.fp32->accuracy) {
    return Tile("Accuracy",
                FormatPoints(*int8.accuracy - *compared.fp32->accuracy),
                absl::StrCat(FormatPercent(*compared.fp32->accuracy), " → ",
                             FormatPercent(*int8.accuracy)));
  }
  if (int8.accuracy) {
    return Tile("Accuracy", FormatPercent(*int8.accuracy), "of INT8");
  }
  if (int8.agreement) {
    return Tile("Agreement", FormatPercent(*int8.agreement),
                int8.sqnr_db ? absl::StrCat("SQNR ", FormatDb(*int8.sqnr_db))
                             : "equal answers");
  }
  if (int8.sqnr_db) {
    return Tile("SQNR", FormatDb(*int8.sqnr_db), "of the output");
  }
  return "";
}

std::string Tiles(const ReportDocument& document, const Compared& compared) {
  std::string tiles = QualityTile(compared);
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
  const std::string quality = QualityClause(compared);
  if (!quality.empty()) clauses.push_back(quality);
  if (const auto speed = SpeedUp(compared)) {
    clauses.push_back(Speed(*speed));
  }
  if (const auto size = Shrinkage(compared)) {
    clauses.push_back(Size(*size));
  }
  if (!document.quantization.layers.empty()) {
    clauses.push_back(absl::StrCat(
        "does ", FormatPercent(document.quantization.int8_macs_share),
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
