// The workers' side of the scheduler: what is taken next, and running it.
#include <pthread.h>

#include <algorithm>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "server/core/model_metrics.h"
#include "server/core/scheduler.h"
#include "server/core/steady_clock.h"

namespace quantserve {

// When the lane may be taken: at once if it fills a batch, else when its oldest
// request has waited for long enough, or must go to keep its deadline.
absl::Time Scheduler::ReadyAt(const Lane& lane) const {
  const Item& first = *lane.items.begin()->second;
  const ServedVariant& variant = *first.request.variant;
  if (options_.max_queue_delay <= absl::ZeroDuration() || draining_ ||
      lane.samples >= variant.engine().max_batch()) {
    return absl::InfinitePast();
  }
  const absl::Duration compute = variant.estimate->Of(lane.samples);
  absl::Time ready = absl::InfiniteFuture();
  for (const auto& [key, item] : lane.items) {
    // Twice the time to compute: the estimate is low.
    ready = std::min({ready, item->submitted + options_.max_queue_delay,
                      item->request.deadline - 2 * compute});
  }
  return ready;
}

// Null if none may be taken yet; then `*wake` is when one may.
Scheduler::Lane* Scheduler::Choose(absl::Time now, absl::Time* wake) {
  Lane* best = nullptr;
  *wake = absl::InfiniteFuture();
  for (auto& [variant, lane] : lanes_) {
    const absl::Time ready = ReadyAt(lane);
    *wake = std::min(*wake, ready);
    if (ready > now) continue;
    const auto rank = [](const Lane& l) {
      return std::tuple(l.items.begin()->first.first, l.used,
                        l.items.begin()->first.second);
    };
    if (best == nullptr || rank(lane) < rank(*best)) best = &lane;
  }
  return best;
}

void Scheduler::Fill(Lane* lane, absl::Time now, Batch* batch) {
  // Held, as removing the last request ends the lane.
  const std::shared_ptr<const ServedVariant> variant =
      lane->items.begin()->second->request.variant;
  const int64_t free = options_.workers - running_;
  const int64_t share = (lane->samples + free - 1) / free;
  const int64_t most = variant->engine().max_batch();
  virtual_time_ = std::max(virtual_time_, lane->used);
  absl::Duration used = lane->used;
  while (true) {
    const auto at = lanes_.find(variant.get());
    if (at == lanes_.end()) break;
    Item* const item = at->second.items.begin()->second.get();
    const int64_t samples = batch->samples + item->request.batch;
    if (samples > most || (batch->samples > 0 && samples > share)) break;
    const absl::Duration compute = variant->estimate->Of(samples);
    if (item->request.deadline <= now + compute) {
      ticketed_.erase(item->request.ticket);
      const bool passed = item->request.deadline <= now;
      batch->dropped.emplace_back(
          Remove(item),
          absl::DeadlineExceededError(
              passed ? "the deadline passed while the request waited"
                     : "the deadline is nearer than the time to compute"));
      continue;
    }
    batch->samples = samples;
    batch->items.push_back(Remove(item));
  }
  used += variant->estimate->Of(std::max<int64_t>(batch->samples, 1));
  const auto at = lanes_.find(variant.get());
  if (at != lanes_.end()) at->second.used = used;
}

bool Scheduler::Take(Batch* batch) {
  *batch = {};
  MutexLock lock(&mu_);
  while (true) {
    const absl::Time now = SteadyNow();
    absl::Time wake;
    Lane* const lane = Choose(now, &wake);
    if (lane != nullptr) {
      Fill(lane, now, batch);
      if (!batch->items.empty() || !batch->dropped.empty()) break;
    }
    if (stopping_ && lanes_.empty()) return false;
    if (wake == absl::InfiniteFuture()) {
      work_.Wait(&mu_);
    } else {
      work_.WaitFor(&mu_, wake - now);
    }
  }
  ++running_;
  return true;
}

void Scheduler::Finished() {
  {
    MutexLock lock(&mu_);
    --running_;
  }
  idle_.NotifyAll();
}

void Scheduler::Loop(int worker) {
  pthread_setname_np(pthread_self(), absl::StrCat("worker-", worker).c_str());
  if (options_.configure_thread) options_.configure_thread();
  BatchBuffers buffers;
  Batch batch;
  while (Take(&batch)) {
    for (auto& [item, status] : batch.dropped) {
      Count(item->request, Drop::kExpired);
      End(std::move(item), std::move(status));
    }
    if (!batch.items.empty()) Run(worker, &buffers, &batch);
    Finished();
  }
}

void Scheduler::Run(int worker, BatchBuffers* buffers, Batch* batch) {
  absl::InlinedVector<const InferenceRequest*, 16> requests;
  for (const ItemPtr& item : batch->items) requests.push_back(&item->request);
  std::shared_ptr<const ServedVariant> variant = requests[0]->variant;
  const absl::Time start = SteadyNow();
  // Nobody wants these any more: what waited is not among them, what was given
  // up in the microseconds since it was taken may be.
  int64_t unwanted = 0;
  for (const ItemPtr& item : batch->items) {
    if (item->cancelled.load(std::memory_order_relaxed) ||
        item->request.deadline <= start) {
      unwanted += item->request.batch;
    }
  }
  const auto inputs = buffers->Pack(requests);
  const auto outputs = buffers->Outputs(requests);
  const absl::Status status =
      variant->contexts[worker]->Run(batch->samples, inputs, outputs);
  if (status.ok()) buffers->Scatter(requests);
  const absl::Time end = SteadyNow();
  if (status.ok()) variant->estimate->Record(batch->samples, end - start);
  {
    MutexLock lock(&mu_);
    for (const ItemPtr& item : batch->items) {
      if (item->request.ticket != 0) ticketed_.erase(item->request.ticket);
    }
  }
  if (variant->metrics != nullptr) {
    variant->metrics->RecordBatch(variant->id, batch->samples, unwanted,
                                  end - start);
  }
  InferenceResult result;
  result.status = status;
  result.compute = end - start;
  result.batch_size = batch->samples;
  for (ItemPtr& item : batch->items) item->request.variant.reset();
  // The last holder lets go before the last answer, see End.
  variant.reset();
  for (ItemPtr& item : batch->items) {
    result.queue = start - item->submitted;
    item->done(result);
  }
}

}  // namespace quantserve
