#include "server/core/shadow_runner.h"

#include <pthread.h>
#include <sched.h>

#include <utility>

#include "quant/base/status_macros.h"

namespace quantserve {

int64_t ShadowJob::bytes() const {
  int64_t bytes = 0;
  for (const ShadowInput& input : inputs) {
    bytes += static_cast<int64_t>(input.data.size());
  }
  return bytes;
}

ShadowRunner::ShadowRunner(Options options)
    : options_(std::move(options)), thread_([this] { Loop(); }) {}

ShadowRunner::~ShadowRunner() { Stop(); }

bool ShadowRunner::Fits(int64_t bytes) const {
  return !closed_ && static_cast<int64_t>(jobs_.size()) < options_.max_jobs &&
         bytes_ + bytes <= options_.max_bytes;
}

bool ShadowRunner::HasRoom(int64_t bytes) const {
  if (options_.busy && options_.busy()) return false;
  // The thread may have been put aside while it held the lock, for as long as
  // the machine has better things to do.
  const TryMutexLock lock(&mu_, options_.lock_attempts);
  return lock.held() && Fits(bytes);
}

bool ShadowRunner::Submit(ShadowJob job) {
  {
    const TryMutexLock lock(&mu_, options_.lock_attempts);
    if (!lock.held()) return false;
    const int64_t bytes = job.bytes();
    if (!Fits(bytes)) return false;
    bytes_ += bytes;
    jobs_.push_back(std::move(job));
  }
  changed_.NotifyOne();
  return true;
}

void ShadowRunner::Close() {
  std::deque<ShadowJob> forgotten;
  {
    MutexLock lock(&mu_);
    closed_ = true;
    forgotten.swap(jobs_);
    bytes_ = 0;
  }
  changed_.NotifyAll();
}

void ShadowRunner::Stop() {
  Close();
  if (thread_.joinable()) thread_.join();
}

void ShadowRunner::Loop() {
  pthread_setname_np(pthread_self(), "shadow");
  // Failure costs fairness only.
  sched_param none = {};
  pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
  if (options_.configure_thread) options_.configure_thread();
  BatchBuffers buffers;
  while (true) {
    ShadowJob job;
    {
      MutexLock lock(&mu_);
      while (jobs_.empty() && !closed_) changed_.Wait(&mu_);
      if (closed_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      bytes_ -= job.bytes();
    }
    const auto output = Run(job, &buffers);
    job.variant.reset();
    job.done(output);
  }
}

absl::StatusOr<std::vector<float>> ShadowRunner::Run(const ShadowJob& job,
                                                     BatchBuffers* buffers) {
  const ServedVariant& variant = *job.variant;
  const Engine& engine = variant.engine();
  if (variant.shadow_context == nullptr) {
    QS_ASSIGN_OR_RETURN(variant.shadow_context, engine.NewContext());
  }
  InferenceRequest request;
  request.variant = job.variant;
  request.batch = job.batch;
  request.preprocessing = job.preprocessing;
  for (const ShadowInput& input : job.inputs) {
    request.inputs.push_back({input.dtype, input.data.data()});
  }
  std::vector<std::vector<float>> rows;
  for (const TensorSpec& spec : engine.outputs()) {
    rows.emplace_back(static_cast<size_t>(job.batch * spec.elements()));
    request.outputs.push_back(rows.back().data());
  }
  const InferenceRequest* const lone[] = {&request};
  const auto inputs = buffers->Pack(lone);
  QS_RETURN_IF_ERROR(
      variant.shadow_context->Run(job.batch, inputs, buffers->Outputs(lone)));
  return std::move(rows[0]);
}

}  // namespace quantserve
