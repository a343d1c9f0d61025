#include "server/core/job_runner.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "quant/base/memory.h"

namespace quantserve {
namespace {

std::string Title(const std::string& name, const std::string& owner) {
  return owner.empty() ? name : absl::StrCat(name, " ", owner);
}

}  // namespace

JobRunner::JobRunner(Options options)
    : options_(std::move(options)), thread_([this] { Loop(); }) {}

JobRunner::~JobRunner() { Stop(); }

absl::StatusOr<std::shared_ptr<Job>> JobRunner::Start(JobSpec spec) {
  auto job = std::make_shared<Job>();
  {
    MutexLock lock(&mu_);
    if (stopping_) return absl::UnavailableError("the server is shutting down");
    if (job_ != nullptr) {
      return absl::AbortedError(absl::StrCat(
          "another job is running: ", Title(running_.name, running_.owner)));
    }
    job_ = job;
    running_ = {spec.name, spec.owner, absl::Now(), {}, false};
    next_ = std::move(spec);
  }
  changed_.NotifyAll();
  return job;
}

std::optional<RunningJob> JobRunner::Running() const {
  MutexLock lock(&mu_);
  if (job_ == nullptr) return std::nullopt;
  RunningJob running = running_;
  running.cancelled = job_->cancelled();
  return running;
}

std::optional<RunningJob> JobRunner::RunningFor(
    const std::string& owner) const {
  std::optional<RunningJob> running = Running();
  if (running.has_value() && running->owner != owner) running.reset();
  return running;
}

void JobRunner::Close() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
    if (job_ != nullptr) job_->Cancel();
  }
  changed_.NotifyAll();
}

void JobRunner::Stop() {
  Close();
  if (thread_.joinable()) thread_.join();
}

void JobRunner::Loop() {
  pthread_setname_np(pthread_self(), "job");
  // On Linux the nice value belongs to the thread. Failure costs fairness only.
  const auto tid = static_cast<id_t>(syscall(SYS_gettid));
  setpriority(PRIO_PROCESS, tid,
              getpriority(PRIO_PROCESS, tid) + options_.nice);
  if (options_.configure_thread) options_.configure_thread();
  while (true) {
    std::optional<JobSpec> spec;
    std::shared_ptr<Job> job;
    {
      MutexLock lock(&mu_);
      // A job that was taken is always run, so that `done` is always called.
      while (!next_.has_value() && !stopping_) changed_.Wait(&mu_);
      if (!next_.has_value()) return;
      spec.swap(next_);
      job = job_;
    }
    Run(&*spec, job.get());
    {
      MutexLock lock(&mu_);
      job_ = nullptr;
    }
    if (spec->done) spec->done();
  }
}

void JobRunner::Run(JobSpec* spec, Job* job) {
  JobControl control;
  control.cancelled = [job] { return job->cancelled(); };
  control.on_progress = [this, spec](const Progress& progress) {
    {
      MutexLock lock(&mu_);
      running_.progress = progress;
    }
    if (options_.observer) {
      options_.observer(Title(spec->name, spec->owner), progress);
    }
    if (spec->on_progress) spec->on_progress(progress);
  };
  spec->work(control);
  ReturnFreedMemory();
}

}  // namespace quantserve
