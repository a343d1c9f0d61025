// Ties a job to its call: whichever comes first, the call's cancellation or the
// job's start, the other is told.
#pragma once

#include <memory>
#include <utility>

#include "quant/base/mutex.h"
#include "server/core/job_runner.h"

namespace quantserve {

// Thread-safe.
class JobCancel {
 public:
  void SetJob(std::shared_ptr<Job> job) {
    MutexLock lock(&mu_);
    job_ = std::move(job);
    if (cancelled_) job_->Cancel();
  }
  void Cancel() {
    MutexLock lock(&mu_);
    cancelled_ = true;
    if (job_ != nullptr) job_->Cancel();
  }

 private:
  Mutex mu_;
  std::shared_ptr<Job> job_ ABSL_GUARDED_BY(mu_);
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace quantserve
