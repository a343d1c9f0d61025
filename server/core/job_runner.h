// One long job at a time on a low-priority thread: quantizations, evaluations.
//
//   ASSIGN(auto job, runner.Start({"quantize", model, work, on_progress,
//   done})); … job->Cancel();
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "quant/base/job_control.h"
#include "quant/base/mutex.h"

namespace quantserve {

struct JobSpec {
  std::string name;   // "quantize", …
  std::string owner;  // the model that it is for; may be empty
  // The job itself. It returns soon after control.cancelled() says so.
  std::function<void(const JobControl&)> work;
  // Called from the job's thread, often; may be empty.
  std::function<void(const Progress&)> on_progress;
  // Called exactly once, from the job's thread, when the slot is free again.
  std::function<void()> done;
};

// Thread-safe.
class Job {
 public:
  // Asks the job to stop; does nothing once it is over.
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> cancelled_{false};
};

struct RunningJob {
  std::string name;
  std::string owner;
  absl::Time started;
  Progress progress;
  bool cancelled = false;  // it was asked to stop
};

// Thread-safe.
class JobRunner {
 public:
  struct Options {
    // Runs first on the job's thread; may be empty.
    std::function<void()> configure_thread;
    // Added to the thread's nice value: serving goes first.
    int nice = 10;
    // Sees the progress of every job, before its own on_progress; may be empty.
    // The job is called by its name and its owner's.
    std::function<void(const std::string& job, const Progress&)> observer;
  };

  explicit JobRunner(Options options);
  // Stops.
  ~JobRunner();
  JobRunner(const JobRunner&) = delete;
  JobRunner& operator=(const JobRunner&) = delete;

  // Hands the job to the thread; or takes nothing and returns ABORTED if
  // another one runs, UNAVAILABLE after Stop. Never blocks.
  absl::StatusOr<std::shared_ptr<Job>> Start(JobSpec spec);

  // What is running now.
  std::optional<RunningJob> Running() const;
  // The same, if it is `owner`'s.
  std::optional<RunningJob> RunningFor(const std::string& owner) const;

  // Takes no more jobs and cancels the one that runs. Never blocks.
  void Close();
  // Closes, and waits for the job that runs. May be
  // called more than once, by one thread at a time, not from a job.
  void Stop();

 private:
  void Loop();
  void Run(JobSpec* spec, Job* job);

  const Options options_;
  mutable Mutex mu_;
  CondVar changed_;
  std::optional<JobSpec> next_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<Job> job_ ABSL_GUARDED_BY(mu_);  // null: the slot is free
  RunningJob running_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace quantserve
