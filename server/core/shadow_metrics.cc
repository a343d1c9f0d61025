#include "server/core/shadow_metrics.h"

namespace quantserve {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;

const char* DropName(ShadowDrop reason) {
  return reason == ShadowDrop::kBusy ? "busy" : "failed";
}

}  // namespace

const char* ShadowSideName(ShadowSide side) {
  static constexpr const char* kNames[] = {"fp32", "int8", "candidate"};
  return kNames[static_cast<int>(side)];
}

ShadowMetrics::ShadowMetrics(prometheus::Registry* registry,
                             const std::string& model)
    : model_(model),
      share_(&BuildGauge()
                  .Name("quantserve_shadow_share_ratio")
                  .Help("Share of the answered requests that are run again on "
                        "another variant, 0 to 1.")
                  .Register(*registry)
                  .Add({{"model", model}})) {
  auto& samples = BuildCounter()
                      .Name("quantserve_shadow_samples_total")
                      .Help("Samples whose answers were compared.")
                      .Register(*registry);
  auto& agreeing = BuildCounter()
                       .Name("quantserve_shadow_agreeing_samples_total")
                       .Help("Of those, samples with the same largest output.")
                       .Register(*registry);
  agreement_ =
      &BuildGauge()
           .Name("quantserve_shadow_agreement_ratio")
           .Help(
               "Share of the samples with the same largest output, of the "
               "generations that are compared now, 0 to 1.")
           .Register(*registry);
  sqnr_ = &BuildGauge()
               .Name("quantserve_shadow_sqnr_decibels")
               .Help(
                   "Signal to noise between the answers, of the "
                   "generations that are compared now.")
               .Register(*registry);
  auto& drops = BuildCounter()
                    .Name("quantserve_shadow_dropped_requests_total")
                    .Help("Requests that were to be compared and were not.")
                    .Register(*registry);
  for (const ShadowPair& pair : kShadowPairs) {
    prometheus::Labels labels = LabelsOf(pair);
    Series& series = series_[ShadowPairIndex(pair)];
    series.samples = &samples.Add(labels);
    series.agreeing = &agreeing.Add(labels);
    for (const ShadowDrop reason : {ShadowDrop::kBusy, ShadowDrop::kFailed}) {
      labels["reason"] = DropName(reason);
      series.drops[static_cast<size_t>(reason)] = &drops.Add(labels);
    }
  }
}

prometheus::Labels ShadowMetrics::LabelsOf(ShadowPair pair) const {
  return {{"model", model_},
          {"variant", VariantName(pair.answered)},
          {"shadow", ShadowSideName(pair.shadow)}};
}

void ShadowMetrics::Record(ShadowPair pair, const ComparisonSums& added,
                           const ComparisonSums& sums) {
  Series& series = series_[ShadowPairIndex(pair)];
  series.samples->Increment(static_cast<double>(added.samples));
  series.agreeing->Increment(static_cast<double>(added.agreeing));
  const Comparison now = sums.Get();
  MutexLock lock(&mu_);
  if (series.agreement == nullptr) {
    series.agreement = &agreement_->Add(LabelsOf(pair));
    series.sqnr = &sqnr_->Add(LabelsOf(pair));
  }
  series.agreement->Set(now.agreement);
  series.sqnr->Set(now.sqnr_db);
}

void ShadowMetrics::RecordDrop(ShadowPair pair, ShadowDrop reason) {
  series_[ShadowPairIndex(pair)]
      .drops[static_cast<size_t>(reason)]
      ->Increment();
}

}  // namespace quantserve
