#include "quant/report/page.h"

#include <openssl/evp.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "quant/report/format.h"
#include "quant/report/html.h"
#include "quant/report/report.h"
#include "quant/report/verdict.h"

namespace quantserve {
namespace report {
namespace {

// The page's own script is the only one that may run, and nothing is fetched,
// even if a hole in Escape let markup through.
std::string ContentSecurityPolicy() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  const absl::string_view script = kScript;
  EVP_Digest(script.data(), script.size(), digest, &size, EVP_sha256(),
             nullptr);
  return absl::StrCat(
      "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-",
      absl::Base64Escape(
          absl::string_view(reinterpret_cast<const char*>(digest), size)),
      "'; base-uri 'none'; form-action 'none'");
}

std::string Title(const ReportDocument& document) {
  return document.title.empty() ? "Quantization" : Escape(document.title);
}

std::string Created(const ReportDocument& document) {
  // Not the infinite ones, nor the epoch of a document that nobody dated.
  if (document.created <= absl::UnixEpoch() ||
      document.created == absl::InfiniteFuture()) {
    return "";
  }
  return absl::FormatTime("%e %B %Y, %H:%M UTC", document.created,
                          absl::UTCTimeZone());
}

std::string Header(const ReportDocument& document) {
  std::string line = Escape(document.model_path);
  const std::string created = Created(document);
  if (!line.empty() && !created.empty()) line += " · ";
  return absl::StrCat("<header><p class=\"small\">INT8 quantization report</p>",
                      "<h1>", Title(document), "</h1>\n<p class=\"small\">",
                      line, created, "</p>\n", VerdictHtml(document),
                      "</header>\n");
}

}  // namespace
}  // namespace report

std::string ReportHtml(const ReportDocument& document) {
  const QuantizationReport& quantization = document.quantization;
  return absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
      "<meta http-equiv=\"Content-Security-Policy\" content=\"",
      report::ContentSecurityPolicy(), "\">\n",
      "<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">"
      "\n<title>",
      report::Title(document), " · INT8 report</title>\n<style>",
      report::kStyle, "</style>\n</head>\n<body>\n<main>\n",
      report::Header(document), report::VariantsSection(document),
      report::SqnrSection(quantization), report::ComputeSection(quantization),
      report::IslandsSection(quantization), report::LayersSection(quantization),
      report::HistogramsSection(quantization),
      report::TrialsSection(quantization), report::FactsSection(document),
      "</main>\n<footer><p class=\"small\">Made by QuantServe.</p></footer>\n",
      "<script>", report::kScript, "</script>\n</body>\n</html>\n");
}

}  // namespace quantserve
