// The threads that run models, the bounded queue before them, and what is run
// together.
//
//   request.ticket = scheduler.NewTicket();
//   absl::Status taken = scheduler.Submit(std::move(request),
//                                         [](InferenceResult r) { … });
//   scheduler.Cancel(ticket);
//
// A free worker takes what waits for one variant, up to the batch that its
// engine takes, and its share of it if other workers are free as well: variants
// and models are never mixed. Of several variants the one with the highest
// priority is next; among equals the one that has had the least of the workers'
// time, so that none starves another.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "quant/base/mutex.h"
#include "server/core/batch_buffers.h"
#include "server/core/drop.h"
#include "server/core/inference.h"

namespace quantserve {

struct SchedulerOptions {
  int workers = 1;
  int queue_capacity = 256;  // requests waiting, those being run not counted
  // How long a request may wait for others to be run with. Zero: it is run as
  // soon as a worker is free.
  absl::Duration max_queue_delay = absl::ZeroDuration();
  // Runs first on each worker's thread; may be empty.
  std::function<void()> configure_thread = nullptr;
};

// Thread-safe.
class Scheduler {
 public:
  using Done = std::function<void(InferenceResult)>;

  explicit Scheduler(SchedulerOptions options);
  // Drains without a deadline.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Never 0, never twice the same.
  uint64_t NewTicket() { return ++tickets_; }

  // Takes the request and calls `done` exactly once; or takes nothing and never
  // calls it: UNAVAILABLE if the queue is full or the scheduler drains,
  // DEADLINE_EXCEEDED if the deadline has passed or, by what the variant's
  // batches have taken so far, can't be kept. Never blocks on inference.
  // `done` must be quick. It gets OK or the engine's error from a worker's
  // thread, DEADLINE_EXCEEDED as soon as the deadline passes in the queue, and
  // CANCELLED: such a request is never run.
  absl::Status Submit(InferenceRequest request, Done done);

  // Ends the request with CANCELLED, from this thread, if it still waits. One
  // that is being run, or over, stays as it is. Not from a `done`.
  void Cancel(uint64_t ticket);

  // Refuses new requests and waits for those that were taken. After `timeout`,
  // those that no worker has taken up are finished with UNAVAILABLE. Returns
  // whether none was.
  bool Drain(absl::Duration timeout);

  int workers() const { return options_.workers; }
  int queue_capacity() const { return options_.queue_capacity; }
  // Requests that wait for a worker now.
  int64_t queue_depth() const;
  // Workers that run a batch now.
  int64_t busy_workers() const;

 private:
  struct Item {
    InferenceRequest request;
    Done done;
    absl::Time submitted;
    uint64_t sequence = 0;  // order of arrival
    std::atomic<bool> cancelled{false};
  };
  using ItemPtr = std::unique_ptr<Item>;
  // What waits for one variant; by priority, then by arrival.
  struct Lane {
    std::map<std::pair<int, uint64_t>, ItemPtr> items;
    int64_t samples = 0;
    absl::Duration used;  // workers' time, on the lanes' common clock
  };
  struct Batch {
    std::vector<ItemPtr> items;
    int64_t samples = 0;
    std::vector<std::pair<ItemPtr, absl::Status>> dropped;
  };

  absl::Status Admit(const InferenceRequest& request, absl::Time now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Duration Wait(const InferenceRequest& request) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Enqueue(ItemPtr item) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ItemPtr Remove(Item* item) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Lane* Choose(absl::Time now, absl::Time* wake)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Time ReadyAt(const Lane& lane) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Fill(Lane* lane, absl::Time now, Batch* batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  void Loop(int worker);
  // False once the queue is empty and the scheduler stops.
  bool Take(Batch* batch);
  void Run(int worker, BatchBuffers* buffers, Batch* batch);
  void Finished();
  // Ends requests in the queue as their deadlines pass.
  void WatchDeadlines();
  static void Count(const InferenceRequest& request, Drop reason);
  static void End(ItemPtr item, absl::Status status);

  const SchedulerOptions options_;
  std::atomic<uint64_t> tickets_{0};

  mutable Mutex mu_;
  CondVar work_;       // something to take, or stopping
  CondVar idle_;       // something was finished
  CondVar deadlines_;  // an earlier deadline, or stopping
  std::map<const ServedVariant*, Lane> lanes_ ABSL_GUARDED_BY(mu_);
  absl::Duration virtual_time_ ABSL_GUARDED_BY(mu_);
  // Of what waits: those with a deadline, by it.
  std::set<std::pair<absl::Time, Item*>> expiring_ ABSL_GUARDED_BY(mu_);
  absl::Time watch_wakes_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
  // What waits or runs and has a ticket.
  absl::flat_hash_map<uint64_t, Item*> ticketed_ ABSL_GUARDED_BY(mu_);
  uint64_t arrivals_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t waiting_ ABSL_GUARDED_BY(mu_) = 0;  // requests
  int running_ ABSL_GUARDED_BY(mu_) = 0;      // batches
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;  // last: they use the rest
};

}  // namespace quantserve
