#include "server/core/scheduler.h"

#include <pthread.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/core/model_metrics.h"
#include "server/core/steady_clock.h"

namespace quantserve {
namespace {

absl::Status Expired() {
  return absl::DeadlineExceededError(
      "the deadline passed while the request waited for a worker");
}

// For messages.
std::string Rounded(absl::Duration duration) {
  return absl::FormatDuration(absl::Trunc(duration, absl::Microseconds(1)));
}

}  // namespace

Scheduler::Scheduler(SchedulerOptions options) : options_(std::move(options)) {
  for (int i = 0; i < options_.workers; ++i) {
    threads_.emplace_back([this, i] { Loop(i); });
  }
  threads_.emplace_back([this] { WatchDeadlines(); });
}

Scheduler::~Scheduler() {
  Drain(absl::InfiniteDuration());
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  work_.NotifyAll();
  deadlines_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

absl::Status Scheduler::Submit(InferenceRequest request, Done done) {
  const absl::Time now = SteadyNow();
  bool earlier = false;
  {
    MutexLock lock(&mu_);
    const absl::Status admitted = Admit(request, now);
    if (!admitted.ok()) return admitted;
    auto item = std::make_unique<Item>();
    item->request = std::move(request);
    item->done = std::move(done);
    item->submitted = now;
    item->sequence = ++arrivals_;
    earlier = Enqueue(std::move(item));
  }
  work_.NotifyOne();
  if (earlier) deadlines_.NotifyOne();
  return absl::OkStatus();
}

absl::Status Scheduler::Admit(const InferenceRequest& request,
                              absl::Time now) const {
  if (draining_) {
    Count(request, Drop::kDraining);
    return absl::UnavailableError("the server is shutting down");
  }
  if (request.deadline <= now) {
    Count(request, Drop::kExpired);
    return absl::DeadlineExceededError(
        "the deadline had passed when the request arrived");
  }
  if (waiting_ >= options_.queue_capacity) {
    Count(request, Drop::kQueueFull);
    return absl::UnavailableError(
        absl::StrCat("the queue is full: ", options_.queue_capacity,
                     " requests are waiting; try again"));
  }
  if (request.deadline == absl::InfiniteFuture()) return absl::OkStatus();
  const absl::Duration wait = Wait(request);
  const absl::Duration compute = request.variant->estimate->Of(request.batch);
  if (now + wait + compute <= request.deadline) return absl::OkStatus();
  request.variant->estimate->RecordRefusal(request.batch);
  Count(request, Drop::kUnreachable);
  return absl::DeadlineExceededError(
      absl::StrCat("the deadline is ", Rounded(request.deadline - now),
                   " away and can't be kept: about ", Rounded(wait),
                   " in the queue and ", Rounded(compute), " to compute"));
}

// At least: as if all that goes first were run in the cheapest batches by all
// workers.
absl::Duration Scheduler::Wait(const InferenceRequest& request) const {
  absl::Duration work;
  for (const auto& [variant, lane] : lanes_) {
    int64_t samples = 0;
    for (const auto& [key, item] : lane.items) {
      if (-key.first < request.priority) break;
      samples += item->request.batch;
    }
    work += variant->estimate->PerSample() * samples;
  }
  return work / options_.workers;
}

// Whether its deadline is the next that the watch must wake for.
bool Scheduler::Enqueue(ItemPtr item) {
  const InferenceRequest& request = item->request;
  Item* const added = item.get();
  const auto [at, fresh] = lanes_.try_emplace(request.variant.get());
  Lane& lane = at->second;
  if (fresh) lane.used = virtual_time_;
  lane.samples += request.batch;
  ++waiting_;
  if (request.ticket != 0) ticketed_[request.ticket] = added;
  const absl::Time deadline = request.deadline;
  lane.items.emplace(std::pair(-request.priority, item->sequence),
                     std::move(item));
  if (deadline == absl::InfiniteFuture()) return false;
  expiring_.emplace(deadline, added);
  if (deadline >= watch_wakes_) return false;
  watch_wakes_ = deadline;
  return true;
}

Scheduler::ItemPtr Scheduler::Remove(Item* item) {
  const InferenceRequest& request = item->request;
  const auto at = lanes_.find(request.variant.get());
  Lane& lane = at->second;
  auto node = lane.items.extract({-request.priority, item->sequence});
  lane.samples -= request.batch;
  --waiting_;
  if (request.deadline != absl::InfiniteFuture()) {
    expiring_.erase({request.deadline, item});
  }
  if (lane.items.empty()) lanes_.erase(at);
  return std::move(node.mapped());
}

void Scheduler::Cancel(uint64_t ticket) {
  ItemPtr item;
  {
    MutexLock lock(&mu_);
    const auto at = ticketed_.find(ticket);
    if (at == ticketed_.end()) return;
    Item* const found = at->second;
    found->cancelled.store(true, std::memory_order_relaxed);
    const auto lane = lanes_.find(found->request.variant.get());
    const bool waits = lane != lanes_.end() &&
                       lane->second.items.count(
                           {-found->request.priority, found->sequence}) > 0;
    if (!waits) return;  // a worker has it
    ticketed_.erase(at);
    item = Remove(found);
  }
  idle_.NotifyAll();
  Count(item->request, Drop::kCancelled);
  End(std::move(item), absl::CancelledError("the call was cancelled"));
}

void Scheduler::Count(const InferenceRequest& request, Drop reason) {
  if (request.variant->metrics == nullptr) return;
  request.variant->metrics->RecordDrop(request.variant->id, reason);
}

void Scheduler::End(ItemPtr item, absl::Status status) {
  InferenceResult result;
  result.status = std::move(status);
  result.queue = SteadyNow() - item->submitted;
  // Let go before answering: whoever sees the answer to the last request of
  // an old variant may count on its going.
  item->request.variant.reset();
  item->done(std::move(result));
}

bool Scheduler::Drain(absl::Duration timeout) {
  const absl::Time deadline = SteadyNow() + timeout;
  std::vector<ItemPtr> late;
  {
    MutexLock lock(&mu_);
    draining_ = true;
    work_.NotifyAll();  // nothing waits for company any more
    while (waiting_ > 0 || running_ > 0) {
      if (timeout == absl::InfiniteDuration()) {
        idle_.Wait(&mu_);
        continue;
      }
      const absl::Duration left = deadline - SteadyNow();
      if (left <= absl::ZeroDuration()) break;
      idle_.WaitFor(&mu_, left);
    }
    while (!lanes_.empty()) {
      Item* const item = lanes_.begin()->second.items.begin()->second.get();
      ticketed_.erase(item->request.ticket);
      late.push_back(Remove(item));
    }
  }
  const bool all = late.empty();
  for (ItemPtr& item : late) {
    Count(item->request, Drop::kDraining);
    End(std::move(item), absl::UnavailableError("the server is shutting down"));
  }
  return all;
}

int64_t Scheduler::queue_depth() const {
  MutexLock lock(&mu_);
  return waiting_;
}

int64_t Scheduler::busy_workers() const {
  MutexLock lock(&mu_);
  return running_;
}

void Scheduler::WatchDeadlines() {
  pthread_setname_np(pthread_self(), "deadlines");
  while (true) {
    std::vector<ItemPtr> expired;
    {
      MutexLock lock(&mu_);
      if (stopping_) return;
      const absl::Time now = SteadyNow();
      while (!expiring_.empty() && expiring_.begin()->first <= now) {
        Item* const item = expiring_.begin()->second;
        ticketed_.erase(item->request.ticket);
        expired.push_back(Remove(item));
      }
      if (expired.empty()) {
        if (expiring_.empty()) {
          watch_wakes_ = absl::InfiniteFuture();
          deadlines_.Wait(&mu_);
        } else {
          watch_wakes_ = expiring_.begin()->first;
          deadlines_.WaitFor(&mu_, watch_wakes_ - now);
        }
        continue;
      }
    }
    idle_.NotifyAll();
    for (ItemPtr& item : expired) {
      Count(item->request, Drop::kExpired);
      End(std::move(item), Expired());
    }
  }
}

}  // namespace quantserve
