// Shadow mode: what another variant would have answered to live requests.
//
//   if (shadow.Wants()) …            // as a request was answered
//   shadow.Submit(*answered, …);     // once the answer was sent
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "quant/base/mutex.h"
#include "quant/eval/evaluate.h"
#include "server/core/even_share.h"
#include "server/core/shadow_metrics.h"
#include "server/core/shadow_runner.h"
#include "server/core/variant_registry.h"

namespace quantserve {

// A request that was answered.
struct AnsweredRequest {
  VariantId variant = VariantId::kFp32;
  int64_t generation = 0;
  int64_t batch = 1;
  const Preprocessing* preprocessing = nullptr;  // outlives the server's calls
  int64_t input_bytes = 0;
};

// How the answers of two variants compare. Of SQNR, the signal is FP32's answer
// if that is one of the two, else what the caller got.
struct ShadowComparison {
  ShadowPair pair;
  int64_t generation = 0;         // that answered
  int64_t shadow_generation = 0;  // that was run beside it
  ComparisonSums sums;            // of these two generations
  int64_t dropped = 0;            // requests that were not compared, likewise
};

// Of one model. Thread-safe.
class Shadow {
 public:
  // All outlive this. `runner` may be null: there are no shadows.
  Shadow(const VariantRegistry* registry, ShadowMetrics* metrics,
         ShadowRunner* runner);

  // 0 to 100, 0 at first.
  void SetPercent(int percent);
  int percent() const { return share_.percent(); }

  // Whether the request that is being answered is to be run again.
  bool Wants() { return share_.Next(); }

  // Runs the request on the candidate, if one is held, else on FP32, or INT8 if
  // FP32 has answered, if that is served. `copy` makes a copy of inputs and of
  // the first output's elements; it is called, at once, only if there is room.
  // Never blocks on inference.
  using Copy = std::function<void(std::vector<ShadowInput>* inputs,
                                  std::string* answer)>;
  void Submit(const AnsweredRequest& answered, const Copy& copy);

  // Those that there is something to say of.
  std::vector<ShadowComparison> comparisons() const;

 private:
  void Drop(const ShadowComparison& of, ShadowDrop reason);
  void Record(const ShadowComparison& of, int64_t batch,
              const std::string& answer,
              const absl::StatusOr<std::vector<float>>& output);
  // The pair's row, emptied if it is of other generations.
  ShadowComparison& RowOf(const ShadowComparison& of)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const VariantRegistry* const registry_;
  ShadowMetrics* const metrics_;
  ShadowRunner* const runner_;
  EvenShare share_{0};
  mutable Mutex mu_;
  std::array<ShadowComparison, kShadowPairCount> rows_ ABSL_GUARDED_BY(mu_);
};

}  // namespace quantserve
