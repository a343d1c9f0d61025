// SIGTERM and SIGINT as a call instead of an interruption.
#pragma once

#include <csignal>
#include <functional>
#include <thread>

#include "quant/base/mutex.h"

namespace quantserve {

// Make one before any other thread: threads inherit the blocked signals.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // Runs `action` on a thread of its own when the signal comes, or at once if
  // it has come. A second signal ends the process with exit code 1.
  void OnStop(std::function<void()> action);
  // No action from now on; waits for one that runs.
  void Disarm();

  // Blocks until the signal has come.
  void Await();
  bool came() const;

 private:
  void Loop();

  sigset_t signals_;
  mutable Mutex mu_;
  CondVar changed_;
  bool came_ ABSL_GUARDED_BY(mu_) = false;
  bool acting_ ABSL_GUARDED_BY(mu_) = false;
  std::function<void()> action_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;  // last: it uses the rest
};

}  // namespace quantserve
