// A gate that tests open: threads wait at it, tests wait for threads at it.
#pragma once

#include "absl/time/time.h"
#include "quant/base/mutex.h"

namespace quantserve::testing {

// Open at first. Thread-safe.
class GateSwitch {
 public:
  void Close() {
    MutexLock lock(&mu_);
    open_ = false;
  }
  void Open() {
    MutexLock lock(&mu_);
    open_ = true;
    // Under the lock: whoever passes may destroy the gate.
    changed_.NotifyAll();
  }
  // For the code under test: waits while the gate is closed.
  void Pass() {
    MutexLock lock(&mu_);
    ++waiting_;
    changed_.NotifyAll();
    while (!open_) changed_.Wait(&mu_);
    --waiting_;
  }
  // For tests: until `count` threads wait.
  void AwaitWaiting(int count) {
    MutexLock lock(&mu_);
    while (waiting_ < count) changed_.Wait(&mu_);
  }

 private:
  Mutex mu_;
  CondVar changed_;
  bool open_ ABSL_GUARDED_BY(mu_) = true;
  int waiting_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace quantserve::testing
