#include "server/core/worker_pool.h"

#include <pthread.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/steady_clock.h"

namespace quantserve {
namespace {

// Integers of any alignment to the floats that a plan holds them as.
void FloatsFrom(const char* integers, absl::Span<float> out) {
  for (float& value : out) {
    int64_t integer;
    std::memcpy(&integer, integers, sizeof(integer));
    integers += sizeof(integer);
    value = static_cast<float>(integer);
  }
}

// Turns a request's inputs into aligned floats, copying only what must be.
class InputBuffers {
 public:
  absl::Span<const float* const> Prepare(const InferenceRequest& request) {
    const std::vector<TensorSpec>& specs = request.variant->engine().inputs();
    pointers_.resize(specs.size());
    copies_.resize(specs.size());
    for (size_t i = 0; i < specs.size(); ++i) {
      const InferenceInput& input = request.inputs[i];
      const auto n = static_cast<size_t>(request.batch * specs[i].elements());
      const bool aligned =
          reinterpret_cast<uintptr_t>(input.data) % alignof(float) == 0;
      if (input.dtype == DType::kF32 && aligned) {
        pointers_[i] = static_cast<const float*>(input.data);
        continue;
      }
      if (copies_[i].size() < n) copies_[i].resize(n);
      if (input.dtype == DType::kF32) {
        std::memcpy(copies_[i].data(), input.data, n * sizeof(float));
      } else if (input.dtype == DType::kI64) {
        FloatsFrom(static_cast<const char*>(input.data),
                   {copies_[i].data(), n});
      } else {
        Preprocess(*request.preprocessing, specs[i].shape,
                   {static_cast<const uint8_t*>(input.data), n},
                   {copies_[i].data(), n});
      }
      pointers_[i] = copies_[i].data();
    }
    return pointers_;
  }

 private:
  std::vector<const float*> pointers_;
  std::vector<std::vector<float>> copies_;  // grows to the largest batch
};

}  // namespace

WorkerPool::WorkerPool(Options options) : options_(std::move(options)) {
  for (int i = 0; i < options_.workers; ++i) {
    threads_.emplace_back([this, i] { Loop(i); });
  }
}

WorkerPool::~WorkerPool() {
  Drain(absl::InfiniteDuration());
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  work_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

absl::Status WorkerPool::Submit(InferenceRequest request, Done done) {
  {
    MutexLock lock(&mu_);
    if (draining_) {
      return absl::UnavailableError("the server is shutting down");
    }
    if (queue_.size() >= static_cast<size_t>(options_.queue_capacity)) {
      return absl::UnavailableError(
          absl::StrCat("the queue is full: ", options_.queue_capacity,
                       " requests are waiting; try again"));
    }
    queue_.push_back({std::move(request), std::move(done), SteadyNow()});
  }
  work_.NotifyOne();
  return absl::OkStatus();
}

bool WorkerPool::Drain(absl::Duration timeout) {
  const absl::Time deadline = SteadyNow() + timeout;
  std::deque<Item> dropped;
  {
    MutexLock lock(&mu_);
    draining_ = true;
    while (!queue_.empty() || running_ > 0) {
      if (timeout == absl::InfiniteDuration()) {
        idle_.Wait(&mu_);
        continue;
      }
      const absl::Duration left = deadline - SteadyNow();
      if (left <= absl::ZeroDuration()) break;
      idle_.WaitFor(&mu_, left);
    }
    dropped.swap(queue_);
  }
  for (Item& item : dropped) {
    item.request.variant.reset();
    item.done({absl::UnavailableError("the server is shutting down"),
               SteadyNow() - item.submitted, absl::ZeroDuration()});
  }
  return dropped.empty();
}

int64_t WorkerPool::queue_depth() const {
  MutexLock lock(&mu_);
  return static_cast<int64_t>(queue_.size());
}

bool WorkerPool::Take(Item* item) {
  MutexLock lock(&mu_);
  while (queue_.empty() && !stopping_) work_.Wait(&mu_);
  if (queue_.empty()) return false;
  *item = std::move(queue_.front());
  queue_.pop_front();
  ++running_;
  return true;
}

void WorkerPool::Finished() {
  {
    MutexLock lock(&mu_);
    --running_;
  }
  idle_.NotifyAll();
}

void WorkerPool::Loop(int worker) {
  pthread_setname_np(pthread_self(), absl::StrCat("worker-", worker).c_str());
  if (options_.configure_thread) options_.configure_thread();
  InputBuffers buffers;
  Item item;
  while (Take(&item)) {
    InferenceRequest& request = item.request;
    const absl::Time start = SteadyNow();
    const auto inputs = buffers.Prepare(request);
    InferenceResult result;
    result.status = request.variant->contexts[worker]->Run(
        request.batch, inputs, request.outputs);
    const absl::Time end = SteadyNow();
    result.queue = start - item.submitted;
    result.compute = end - start;
    // Let go before answering: whoever sees the answer to the last request of
    // an old variant may count on its going.
    request.variant.reset();
    item.done(std::move(result));
    item.done = nullptr;
    Finished();
  }
}

}  // namespace quantserve
