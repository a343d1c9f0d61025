// The threads that run models, and the bounded queue before them.
//
//   absl::Status taken = pool.Submit(std::move(request), [](InferenceResult r)
//   {
//     …
//   });
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "quant/base/mutex.h"
#include "quant/data/preprocessing.h"
#include "quant/tensor/tensor.h"
#include "server/core/variant.h"

namespace quantserve {

// One input of a request: whole samples, row-major, in the caller's memory.
struct InferenceInput {
  // kF32, kU8 to be preprocessed, or kI64 with values that a float holds.
  DType dtype = DType::kF32;
  const void* data = nullptr;  // of any alignment
};

struct InferenceRequest {
  std::shared_ptr<const ServedVariant> variant;
  int64_t batch = 1;  // 1 <= batch <= the engine's max_batch()
  // Of kU8 inputs; outlives the request. May be null if there are none.
  const Preprocessing* preprocessing = nullptr;
  // As many as the engine has, in its order. The caller keeps the memory until
  // `done` is called.
  absl::InlinedVector<InferenceInput, 2> inputs;
  absl::InlinedVector<float*, 2> outputs;
};

struct InferenceResult {
  absl::Status status;
  absl::Duration queue;    // from Submit to a worker's taking it up
  absl::Duration compute;  // preprocessing and the engine
};

// Thread-safe.
class WorkerPool {
 public:
  struct Options {
    int workers = 1;
    int queue_capacity = 256;  // requests waiting, those being run not counted
    // Runs first on each worker's thread; may be empty.
    std::function<void()> configure_thread;
  };
  using Done = std::function<void(InferenceResult)>;

  explicit WorkerPool(Options options);
  // Drains without a deadline.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Takes the request and calls `done` exactly once, from a worker's thread; or
  // returns UNAVAILABLE, takes nothing and never calls it: the queue is full or
  // the pool drains. Never blocks on inference. `done` must be quick.
  absl::Status Submit(InferenceRequest request, Done done);

  // Refuses new requests and waits for those that were taken. After `timeout`,
  // those that no worker has taken up are finished with UNAVAILABLE. Returns
  // whether none was.
  bool Drain(absl::Duration timeout);

  int workers() const { return options_.workers; }
  int queue_capacity() const { return options_.queue_capacity; }
  // Requests that wait for a worker now.
  int64_t queue_depth() const;

 private:
  struct Item {
    InferenceRequest request;
    Done done;
    absl::Time submitted;  // on the steady clock
  };

  void Loop(int worker);
  // False once the pool is empty and stopping.
  bool Take(Item* item);
  void Finished();

  const Options options_;
  mutable Mutex mu_;
  CondVar work_;  // something to take, or stopping
  CondVar idle_;  // something was finished
  std::deque<Item> queue_ ABSL_GUARDED_BY(mu_);
  int running_ ABSL_GUARDED_BY(mu_) = 0;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;  // last: they use the rest
};

}  // namespace quantserve
