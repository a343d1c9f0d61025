// The thread that runs shadows: requests that were answered, once more on
// another variant.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "quant/base/mutex.h"
#include "server/core/batch_buffers.h"
#include "server/core/inference.h"

namespace quantserve {

struct ShadowInput {
  DType dtype = DType::kF32;
  std::string data;
};

struct ShadowJob {
  std::shared_ptr<const ServedVariant> variant;
  int64_t batch = 1;  // 1 <= batch <= the engine's max_batch()
  const Preprocessing* preprocessing = nullptr;
  std::vector<ShadowInput> inputs;  // in the engine's order
  // Gets the first output, or the engine's error.
  std::function<void(const absl::StatusOr<std::vector<float>>&)> done;

  int64_t bytes() const;
};

// Apart from the workers, so that no request ever waits for a shadow: the
// system gives the thread what time nobody else wants, and it has an execution
// context of its own, which each variant gets when it is first shadowed.
// Thread-safe.
class ShadowRunner {
 public:
  struct Options {
    // Jobs that may wait, and their bytes.
    int64_t max_jobs = 16;
    int64_t max_bytes = int64_t{64} << 20;
    // Whether live requests wait; then nothing is taken. May be empty.
    std::function<bool()> busy;
    // Runs first on the thread; may be empty.
    std::function<void()> configure_thread;
    // How often the lock is tried before a job is dropped: once, but for tests
    // that count.
    int lock_attempts = 1;
  };

  explicit ShadowRunner(Options options);
  ~ShadowRunner();
  ShadowRunner(const ShadowRunner&) = delete;
  ShadowRunner& operator=(const ShadowRunner&) = delete;

  // Whether Submit would take a job of so many bytes now: before they are
  // copied.
  bool HasRoom(int64_t bytes) const;

  // Takes the job and calls `done` once, from its thread, unless it stops
  // before; or takes nothing and returns false. Never blocks.
  bool Submit(ShadowJob job);

  // Takes nothing from now on and forgets what waits.
  void Close();
  // Closes, and waits for the job that runs.
  void Stop();

 private:
  bool Fits(int64_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Loop();
  static absl::StatusOr<std::vector<float>> Run(const ShadowJob& job,
                                                BatchBuffers* buffers);

  const Options options_;
  mutable Mutex mu_;
  CondVar changed_;
  std::deque<ShadowJob> jobs_ ABSL_GUARDED_BY(mu_);
  int64_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace quantserve
