#include "quant/eval/gate.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantserve {
namespace {

using ::testing::HasSubstr;

Evaluation Labelled(int64_t correct, int64_t samples = 1000) {
  Evaluation evaluation;
  evaluation.samples = samples;
  evaluation.correct = correct;
  evaluation.accuracy = static_cast<double>(correct) / samples;
  evaluation.outputs_per_sample = 10;
  return evaluation;
}

Evaluation Unlabelled(int64_t outputs) {
  Evaluation evaluation;
  evaluation.samples = 1000;
  evaluation.outputs_per_sample = outputs;
  return evaluation;
}

GateDecision Decide(const Evaluation& fp32, const Evaluation& int8,
                    double agreement, double sqnr) {
  return DecideGate(GateOptions(), fp32, int8, {agreement, sqnr});
}

TEST(GateTest, LabelsDecideByAccuracyAlone) {
  // A drop of exactly the limit passes.
  const GateDecision at_limit = Decide(Labelled(917), Labelled(907), 0, -99);
  EXPECT_TRUE(at_limit.passed);
  EXPECT_EQ(at_limit.reason,
            "accuracy 0.9070 against 0.9170 in fp32 on 1000 samples: a drop of "
            "0.0100 is within 0.0100");
  const GateDecision below = Decide(Labelled(917), Labelled(906), 1, 99);
  EXPECT_FALSE(below.passed);
  EXPECT_EQ(below.reason,
            "accuracy 0.9060 against 0.9170 in fp32 on 1000 samples: a drop of "
            "0.0110 is more than 0.0100");
  EXPECT_TRUE(Decide(Labelled(900), Labelled(950), 0, -99).passed);
}

TEST(GateTest, WithoutLabelsAgreementDecides) {
  const Evaluation e = Unlabelled(10);
  EXPECT_TRUE(Decide(e, e, 0.97, -99).passed);
  const GateDecision below = Decide(e, e, 0.969, 99);
  EXPECT_FALSE(below.passed);
  EXPECT_EQ(below.reason,
            "top-1 agreement with fp32 0.9690 on 1000 samples without labels "
            "is below 0.9700");
}

TEST(GateTest, RegressorsAreDecidedBySqnr) {
  const Evaluation e = Unlabelled(1);
  EXPECT_TRUE(Decide(e, e, 1, 20).passed);
  EXPECT_TRUE(Decide(e, e, 1, std::numeric_limits<double>::infinity()).passed);
  const GateDecision below = Decide(e, e, 1, 19.9);
  EXPECT_FALSE(below.passed);
  EXPECT_EQ(below.reason,
            "sqnr to fp32 19.9 dB on 1000 samples without labels is below "
            "20.0 dB");
}

TEST(GateTest, NansNeverPass) {
  const double nan = std::nan("");
  EXPECT_FALSE(Decide(Unlabelled(1), Unlabelled(1), 1, nan).passed);
  EXPECT_FALSE(Decide(Unlabelled(10), Unlabelled(10), nan, 99).passed);
  Evaluation bad = Labelled(900);
  bad.accuracy = nan;
  EXPECT_FALSE(Decide(Labelled(900), bad, 1, 99).passed);
}

TEST(GateTest, RefusesDifferentOrNoSamples) {
  EXPECT_FALSE(Decide(Labelled(900), Labelled(450, 500), 1, 99).passed);
  const GateDecision none = Decide(Evaluation(), Evaluation(), 1, 99);
  EXPECT_FALSE(none.passed);
  EXPECT_THAT(none.reason, HasSubstr("0 samples were evaluated"));
}

TEST(GateOptionsTest, RefusesSenselessNumbers) {
  EXPECT_TRUE(GateOptions().Validate().ok());
  const double nan = std::nan("");
  for (double bad : {-0.1, 1.1, nan}) {
    GateOptions options;
    options.max_accuracy_drop = bad;
    EXPECT_FALSE(options.Validate().ok()) << bad;
    options = GateOptions();
    options.min_agreement = bad;
    EXPECT_FALSE(options.Validate().ok()) << bad;
  }
  GateOptions options;
  options.min_sqnr_db = nan;
  EXPECT_FALSE(options.Validate().ok());
}

}  // namespace
}  // namespace quantserve
