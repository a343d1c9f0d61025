#include "client/load/generator.h"

#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <thread>

namespace quantserve {
namespace {

using Steady = std::chrono::steady_clock;

Steady::time_point ToSteady(absl::Time time) {
  return Steady::time_point(
      absl::ToChronoNanoseconds(time - absl::UnixEpoch()));
}

class RealClock final : public LoadClock {
 public:
  absl::Time Now() override {
    return absl::UnixEpoch() +
           absl::FromChrono(Steady::now().time_since_epoch());
  }
  void SleepUntil(absl::Time time) override {
    std::this_thread::sleep_until(ToSteady(time));
  }
  bool Await(std::unique_lock<std::mutex>* lock,
             std::condition_variable* changed, absl::Time time,
             const std::function<bool()>& ready) override {
    if (time == absl::InfiniteFuture()) {
      changed->wait(*lock, ready);
      return true;
    }
    return changed->wait_until(*lock, ToSteady(time), ready);
  }
};

}  // namespace

LoadClock& RealLoadClock() {
  static auto& clock = *new RealClock;
  return clock;
}

Load Generator::Run(const LoadWindow& window) {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    load_ = {};
    left_ = window.requests;
    begin_ = last_ = clock_.Now() + window.lead_in;
    end_ = begin_ + window.length;
  }
  if (options_.rate > 0) {
    RunOpen();
  } else {
    RunClosed();
  }
  std::unique_lock<std::mutex> lock(mu_);
  awaited_ = true;
  clock_.Await(&lock, &changed_, absl::InfiniteFuture(),
               [this] { return outstanding_ == 0; });
  awaited_ = false;
  load_.time = std::min(last_, end_) - begin_;
  if (options_.rate > 0 && end_ != absl::InfiniteFuture()) {
    load_.time = end_ - begin_;
  }
  return std::move(load_);
}

// Whether one more is to be sent, and counts it.
bool Generator::TakeOne() {
  const std::lock_guard<std::mutex> lock(mu_);
  if (left_ <= 0 || clock_.Now() >= end_) return false;
  --left_;
  ++outstanding_;
  return true;
}

void Generator::RunClosed() {
  for (int i = 0; i < options_.clients && TakeOne(); ++i) Send(clock_.Now());
}

void Generator::RunOpen() {
  // Sleeps end within microseconds, not the usual 50.
  prctl(PR_SET_TIMERSLACK, 1000);
  Arrivals arrivals(options_.arrivals, options_.rate, arrival_seed_++);
  const absl::Time start = clock_.Now();
  for (int64_t i = 0;; ++i) {
    const absl::Time meant = start + arrivals.Next();
    {
      const std::lock_guard<std::mutex> lock(mu_);
      if (meant >= end_ || left_ <= 0) return;
      --left_;
    }
    clock_.SleepUntil(meant);
    std::unique_lock<std::mutex> lock(mu_);
    awaited_ = true;
    const bool may = clock_.Await(&lock, &changed_, end_, [this] {
      return outstanding_ < options_.max_outstanding;
    });
    awaited_ = false;
    if (!may) {
      if (meant >= begin_) ++load_.not_sent;
      continue;
    }
    ++outstanding_;
    lock.unlock();
    Send(meant);
  }
}

void Generator::Send(absl::Time meant) {
  const absl::Duration lag = clock_.Now() - meant;
  transport_->Send(options_.deadline,
                   [this, meant, lag](const absl::Status& status,
                                      const v1::PredictResponse& response) {
                     OnDone(meant, lag, status, response);
                   });
}

void Generator::OnDone(absl::Time meant, absl::Duration lag,
                       const absl::Status& status,
                       const v1::PredictResponse& response) {
  const absl::Time now = clock_.Now();
  {
    const std::lock_guard<std::mutex> lock(mu_);
    if (meant >= begin_) {
      load_.Record(lag, now - meant, status, response);
      last_ = std::max(last_, now);
    }
  }
  // A closed loop's client goes on.
  if (options_.rate <= 0 && TakeOne()) Send(now);
  const std::lock_guard<std::mutex> lock(mu_);
  --outstanding_;
  // Under the lock: the last answer lets Run return.
  if (awaited_) changed_.notify_all();
}

}  // namespace quantserve
