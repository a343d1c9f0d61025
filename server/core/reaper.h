// A thread that destroys what serving threads let go of: freeing a model's
// weights takes milliseconds that no request should pay.
#pragma once

#include <functional>
#include <thread>
#include <vector>

#include "quant/base/mutex.h"

namespace quantserve {

// Thread-safe.
class Reaper {
 public:
  Reaper();
  // Runs what was handed over, then stops.
  ~Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  // Runs `destroy` on the reaper's thread, soon.
  void Post(std::function<void()> destroy);

 private:
  void Loop();

  Mutex mu_;
  CondVar changed_;
  std::vector<std::function<void()>> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace quantserve
