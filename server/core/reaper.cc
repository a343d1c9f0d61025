#include "server/core/reaper.h"

#include <utility>

#include "quant/base/memory.h"

namespace quantserve {

Reaper::Reaper() : thread_([this] { Loop(); }) {}

Reaper::~Reaper() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

void Reaper::Post(std::function<void()> destroy) {
  {
    MutexLock lock(&mu_);
    queue_.push_back(std::move(destroy));
  }
  changed_.NotifyOne();
}

void Reaper::Loop() {
  while (true) {
    std::vector<std::function<void()>> batch;
    {
      MutexLock lock(&mu_);
      while (queue_.empty() && !stopping_) changed_.Wait(&mu_);
      if (queue_.empty()) return;
      batch.swap(queue_);
    }
    for (auto& destroy : batch) destroy();
    batch.clear();
    ReturnFreedMemory();
  }
}

}  // namespace quantserve
