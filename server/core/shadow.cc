#include "server/core/shadow.h"

#include <cmath>
#include <cstring>
#include <utility>

namespace quantserve {
namespace {

// One request's, sample by sample.
ComparisonSums Sum(int64_t batch, const std::vector<float>& signal,
                   const std::vector<float>& other) {
  ComparisonSums sums;
  const size_t elements = signal.size() / static_cast<size_t>(batch);
  for (int64_t i = 0; i < batch; ++i) {
    const size_t at = static_cast<size_t>(i) * elements;
    sums.Add(absl::MakeConstSpan(signal).subspan(at, elements),
             absl::MakeConstSpan(other).subspan(at, elements));
  }
  return sums;
}

std::vector<float> Floats(const std::string& bytes) {
  std::vector<float> floats(bytes.size() / sizeof(float));
  std::memcpy(floats.data(), bytes.data(), floats.size() * sizeof(float));
  return floats;
}

}  // namespace

Shadow::Shadow(const VariantRegistry* registry, ShadowMetrics* metrics,
               ShadowRunner* runner)
    : registry_(registry), metrics_(metrics), runner_(runner) {
  MutexLock lock(&mu_);
  for (int i = 0; i < kShadowPairCount; ++i) rows_[i].pair = kShadowPairs[i];
}

void Shadow::SetPercent(int percent) {
  share_.Set(percent);
  metrics_->SetShare(percent);
}

void Shadow::Submit(const AnsweredRequest& answered, const Copy& copy) {
  if (runner_ == nullptr) return;
  ShadowComparison of;
  of.pair = {answered.variant, ShadowSide::kCandidate};
  of.generation = answered.generation;
  ShadowJob job;
  job.variant = registry_->candidate();
  if (job.variant == nullptr) {
    const bool fp32 = answered.variant == VariantId::kFp32;
    of.pair.shadow = fp32 ? ShadowSide::kInt8 : ShadowSide::kFp32;
    job.variant = registry_->Get(fp32 ? VariantId::kInt8 : VariantId::kFp32);
  }
  if (job.variant == nullptr) return;
  of.shadow_generation = job.variant->generation;
  if (answered.batch > job.variant->engine().max_batch() ||
      !runner_->HasRoom(answered.input_bytes)) {
    return Drop(of, ShadowDrop::kBusy);
  }
  job.batch = answered.batch;
  job.preprocessing = answered.preprocessing;
  std::string answer;
  copy(&job.inputs, &answer);
  job.done = [this, of, batch = answered.batch, answer = std::move(answer)](
                 const absl::StatusOr<std::vector<float>>& output) {
    Record(of, batch, answer, output);
  };
  if (!runner_->Submit(std::move(job))) Drop(of, ShadowDrop::kBusy);
}

void Shadow::Drop(const ShadowComparison& of, ShadowDrop reason) {
  metrics_->RecordDrop(of.pair, reason);
  if (reason == ShadowDrop::kFailed) {  // on the shadows' thread
    MutexLock lock(&mu_);
    ++RowOf(of).dropped;
    return;
  }
  // Not worth waiting for the shadows' thread, which may have been put aside.
  const TryMutexLock lock(&mu_);
  if (lock.held()) ++RowOf(of).dropped;
}

void Shadow::Record(const ShadowComparison& of, int64_t batch,
                    const std::string& answer,
                    const absl::StatusOr<std::vector<float>>& output) {
  if (!output.ok()) return Drop(of, ShadowDrop::kFailed);
  const std::vector<float> live = Floats(answer);
  if (live.size() != output->size()) return Drop(of, ShadowDrop::kFailed);
  const bool signal_is_shadow = of.pair.shadow == ShadowSide::kFp32;
  const ComparisonSums sums =
      signal_is_shadow ? Sum(batch, *output, live) : Sum(batch, live, *output);
  // One caller's NaN is not to spoil the sums for good.
  if (!std::isfinite(sums.signal) || !std::isfinite(sums.noise)) {
    return Drop(of, ShadowDrop::kFailed);
  }
  MutexLock lock(&mu_);
  ShadowComparison& row = RowOf(of);
  row.sums.Add(sums);
  metrics_->Record(of.pair, sums, row.sums);
}

ShadowComparison& Shadow::RowOf(const ShadowComparison& of) {
  ShadowComparison& row = rows_[ShadowPairIndex(of.pair)];
  if (row.generation != of.generation ||
      row.shadow_generation != of.shadow_generation) {
    row = of;
  }
  return row;
}

std::vector<ShadowComparison> Shadow::comparisons() const {
  std::vector<ShadowComparison> rows;
  MutexLock lock(&mu_);
  for (const ShadowComparison& row : rows_) {
    if (row.sums.samples > 0 || row.dropped > 0) rows.push_back(row);
  }
  return rows;
}

}  // namespace quantserve
