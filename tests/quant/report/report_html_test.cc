// What is in the page; browser_test.py looks at it as a person would.
#include <cctype>
#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quant/report/report.h"
#include "quant/report/verdict.h"
#include "tests/quant/report/sample_document.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

int Count(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) {
    ++count;
  }
  return count;
}

// Nothing that a browser would fetch.
void ExpectSelfContained(const std::string& html) {
  for (const char* fetched : {"http:", "https:", "url(", "src=", "@import",
                              "<link", "<iframe", "<object", "<base"}) {
    EXPECT_THAT(html, Not(HasSubstr(fetched)));
  }
}

TEST(ReportHtmlTest, SaysTheVerdictInOneSentence) {
  EXPECT_EQ(report::VerdictSentence(SampleDocument()),
            "The INT8 model is right in 73.19\u202f% of the samples (FP32: "
            "73.29\u202f%), answers 3.4× as fast, is 3.9× smaller and does "
            "96.85\u202f% of its multiply–accumulates in 8 bits.");
}

TEST(ReportHtmlTest, SaysAgreementWhereThereAreNoLabels) {
  ReportDocument document = SampleDocument();
  for (VariantSummary& variant : document.variants) variant.accuracy.reset();
  EXPECT_THAT(report::VerdictSentence(document),
              HasSubstr("agrees with FP32 on 98.44\u202f% of the samples"));
  for (VariantSummary& variant : document.variants) variant.agreement.reset();
  EXPECT_THAT(report::VerdictSentence(document),
              HasSubstr("signal-to-noise ratio of 30.3\u202fdB"));
}

TEST(ReportHtmlTest, SaysWhenInt8IsSlower) {
  ReportDocument document = SampleDocument();
  document.variants[2].latency_p50 = document.variants[0].latency_p50 * 2;
  EXPECT_THAT(report::VerdictSentence(document),
              HasSubstr("answers 2.0× as slowly"));
}

TEST(ReportHtmlTest, SaysWhetherTheBudgetWasReached) {
  ReportDocument document = SampleDocument();
  EXPECT_THAT(ReportHtml(document), HasSubstr("✓ Budget reached"));
  document.quantization.budget->reached = false;
  EXPECT_THAT(ReportHtml(document), HasSubstr("✗ Budget missed"));
  document.quantization.budget.reset();
  EXPECT_THAT(ReportHtml(document), Not(HasSubstr("class=\"budget")));
}

TEST(ReportHtmlTest, ShowsEverySectionOfAFullDocument) {
  const std::string html = ReportHtml(SampleDocument());
  for (const char* id : {"variants", "sqnr", "compute", "islands", "layers",
                         "histograms", "trials", "facts"}) {
    EXPECT_EQ(Count(html, std::string("<section id=\"") + id + "\""), 1) << id;
  }
  EXPECT_EQ(Count(html, "<article "), 59);
  EXPECT_THAT(html, HasSubstr("lang=\"en\""));
  EXPECT_THAT(html, HasSubstr("no 8-bit form"));
  ExpectSelfContained(html);
}

TEST(ReportHtmlTest, EveryIdIsGivenOnce) {
  const std::string html = ReportHtml(SampleDocument());
  std::set<std::string> ids;
  for (size_t at = 0; (at = html.find(" id=\"", at)) != std::string::npos;) {
    at += 5;
    const std::string id = html.substr(at, html.find('"', at) - at);
    EXPECT_TRUE(ids.insert(id).second) << id;
  }
  EXPECT_GT(ids.size(), 100u);
}

TEST(ReportHtmlTest, AHundredLayersStayBelowAMegabyte) {
  EXPECT_LT(ReportHtml(SampleDocumentOf(100)).size(), 1'000'000u);
}

TEST(ReportHtmlTest, FiveHundredLayersAreFoldedAway) {
  const std::string html = ReportHtml(SampleDocumentOf(500));
  EXPECT_EQ(Count(html, "<article "), 500);
  EXPECT_THAT(html, HasSubstr("<details><summary>500 layers"));
  EXPECT_THAT(html, HasSubstr("<details><summary>Layers 61 to 120"));
  EXPECT_LT(html.size(), 2'000'000u);
}

TEST(ReportHtmlTest, AnEmptyDocumentIsAShortPage) {
  const std::string html = ReportHtml(EmptyDocument());
  EXPECT_THAT(html, HasSubstr("Nothing was measured."));
  EXPECT_EQ(Count(html, "<section"), 1);  // where it comes from
  EXPECT_EQ(Count(html, "<svg"), 0);
  ExpectSelfContained(html);
  EXPECT_THAT(ReportHtml({}), HasSubstr("<h1>Quantization</h1>"));
}

TEST(ReportHtmlTest, LayersWithoutMeasurementsAreShown) {
  ReportDocument document;
  document.quantization.layers.resize(2);
  document.quantization.layers[0].name = "bare";
  const std::string html = ReportHtml(document);
  EXPECT_THAT(html, HasSubstr(">bare</a>"));
  EXPECT_THAT(html, HasSubstr("No reason given"));
  EXPECT_EQ(Count(html, "<svg"), 0);
}

TEST(ReportHtmlTest, AllInInt8IsSaid) {
  ReportDocument document;
  document.quantization.layers.resize(1);
  document.quantization.layers[0].quantized = true;
  EXPECT_THAT(ReportHtml(document),
              HasSubstr("Nothing: every layer runs in INT8."));
}

// Guards every place of the page that shows text from a model.
TEST(ReportHtmlTest, HostileTextAddsNoMarkup) {
  const std::string html = ReportHtml(HostileDocument());
  EXPECT_EQ(Count(html, "<script"), 1);
  EXPECT_EQ(Count(html, "<title>"),
            Count(html, "</title>") - Count(html, "<title id=\""));
  EXPECT_THAT(html, Not(HasSubstr("<img")));
  EXPECT_THAT(html, Not(HasSubstr("\x1b")));
  EXPECT_THAT(html, Not(HasSubstr("\xff")));
  EXPECT_THAT(html, Not(HasSubstr("\u202e")));
}

TEST(ReportHtmlTest, NoCoordinateIsNotANumber) {
  const std::string html = ReportHtml(HostileDocument());
  for (const char* bad : {"\"nan", "\"-nan", "\"inf", "\"-inf", "nan%", "inf%",
                          " nan ", " inf "}) {
    EXPECT_THAT(html, Not(HasSubstr(bad)));
  }
}

TEST(ReportHtmlTest, OnlyThePagesOwnScriptMayRun) {
  EXPECT_THAT(ReportHtml(SampleDocument()),
              HasSubstr("default-src 'none'; style-src 'unsafe-inline'; "
                        "script-src 'sha256-"));
}

}  // namespace
}  // namespace quantserve
