// Sends a load and records what comes of it.
//
//   Generator generator(transport.get(), options);
//   Load load = generator.Run({absl::Seconds(1)});
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>

#include "absl/time/time.h"
#include "client/load/arrivals.h"
#include "client/load/load.h"
#include "client/load/transport.h"

namespace quantserve {

// Time, so that tests can make it up. Thread-safe.
class LoadClock {
 public:
  virtual ~LoadClock() = default;
  virtual absl::Time Now() = 0;  // never jumps
  virtual void SleepUntil(absl::Time time) = 0;
  // Until `ready()`, which is called with the lock held, or `time`. Returns
  // ready().
  virtual bool Await(std::unique_lock<std::mutex>* lock,
                     std::condition_variable* changed, absl::Time time,
                     const std::function<bool()>& ready) = 0;
};
LoadClock& RealLoadClock();

struct LoadOptions {
  // Open loop: requests are meant to be sent at times that no answer moves.
  // 0: closed loop, `clients` send one after the other's answer.
  double rate = 0;  // a second
  ArrivalProcess arrivals = ArrivalProcess::kPoisson;
  uint64_t seed = 1;
  int clients = 1;
  // Of the open loop: further requests are sent as soon as an answer comes,
  // late then, and counted as not sent if none comes until the end.
  int max_outstanding = 1024;
  absl::Duration deadline = absl::Seconds(10);  // of each, once it is sent
};

struct LoadWindow {
  absl::Duration length = absl::InfiniteDuration();
  int64_t requests = INT64_MAX;  // or until so many were sent
  // Load before it that does not count.
  absl::Duration lead_in = absl::ZeroDuration();
};

// Latency runs from the time at which a request was meant to be sent, so that a
// server that stalls can't hide the requests that it kept from being sent (no
// coordinated omission). One Run at a time.
class Generator {
 public:
  Generator(Transport* transport, const LoadOptions& options,
            LoadClock* clock = &RealLoadClock())
      : transport_(transport),
        options_(options),
        clock_(*clock),
        arrival_seed_(options.seed) {}

  // Returns when everything that was sent is answered: at most the deadline
  // after the window. Each run of an open loop has a schedule of its own.
  Load Run(const LoadWindow& window);

 private:
  void RunClosed();
  void RunOpen();
  void Send(absl::Time meant);
  void OnDone(absl::Time meant, absl::Duration lag, const absl::Status& status,
              const v1::PredictResponse& response);
  bool TakeOne();

  Transport* const transport_;
  const LoadOptions options_;
  LoadClock& clock_;
  uint64_t arrival_seed_;

  std::mutex mu_;
  std::condition_variable changed_;
  // The rest by mu_, but for begin_ and end_, which are set before the first
  // request.
  absl::Time begin_, end_;
  int64_t left_ = 0;
  int outstanding_ = 0;
  bool awaited_ = false;  // somebody wants to hear of answers
  absl::Time last_;       // the latest answer
  Load load_;
};

}  // namespace quantserve
