// The metrics of one model's shadows, and the pairs that they tell apart.
#pragma once

#include <array>
#include <string>

#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/registry.h"
#include "quant/base/mutex.h"
#include "quant/eval/evaluate.h"
#include "server/core/variant.h"

namespace quantserve {

// What is run beside the variant that answered.
enum class ShadowSide { kFp32, kInt8, kCandidate };
// "fp32", "int8", "candidate".
const char* ShadowSideName(ShadowSide side);

struct ShadowPair {
  VariantId answered = VariantId::kFp32;
  ShadowSide shadow = ShadowSide::kInt8;
};
inline constexpr ShadowPair kShadowPairs[] = {
    {VariantId::kFp32, ShadowSide::kInt8},
    {VariantId::kInt8, ShadowSide::kFp32},
    {VariantId::kBf16, ShadowSide::kFp32},
    {VariantId::kFp32, ShadowSide::kCandidate},
    {VariantId::kInt8, ShadowSide::kCandidate},
    {VariantId::kBf16, ShadowSide::kCandidate}};
inline constexpr int kShadowPairCount = 6;
// Where it is among those.
constexpr size_t ShadowPairIndex(ShadowPair pair) {
  return static_cast<size_t>(pair.answered) +
         (pair.shadow == ShadowSide::kCandidate ? 3 : 0);
}

// Why a request that was to be compared was not.
enum class ShadowDrop {
  kBusy,    // live requests waited, or too many shadows
  kFailed,  // the engine failed, or an answer was not finite
};
inline constexpr int kShadowDropCount = 2;

// Thread-safe.
class ShadowMetrics {
 public:
  // The registry outlives this.
  ShadowMetrics(prometheus::Registry* registry, const std::string& model);
  ShadowMetrics(const ShadowMetrics&) = delete;
  ShadowMetrics& operator=(const ShadowMetrics&) = delete;

  void SetShare(int percent) { share_->Set(percent / 100.0); }
  // What one request added, and what the two generations have come to with it.
  void Record(ShadowPair pair, const ComparisonSums& added,
              const ComparisonSums& sums);
  void RecordDrop(ShadowPair pair, ShadowDrop reason);

 private:
  struct Series {
    prometheus::Counter* samples = nullptr;
    prometheus::Counter* agreeing = nullptr;
    // Made with the first comparison.
    prometheus::Gauge* agreement = nullptr;
    prometheus::Gauge* sqnr = nullptr;
    std::array<prometheus::Counter*, kShadowDropCount> drops = {};
  };

  prometheus::Labels LabelsOf(ShadowPair pair) const;

  const std::string model_;
  prometheus::Gauge* share_;
  prometheus::Family<prometheus::Gauge>* agreement_;
  prometheus::Family<prometheus::Gauge>* sqnr_;
  Mutex mu_;  // guards the making of series, not their use
  std::array<Series, kShadowPairCount> series_;
};

}  // namespace quantserve
