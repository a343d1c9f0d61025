// A share of what comes by, evenly spread.
#pragma once

#include <atomic>
#include <cstdint>

namespace quantserve {

// Of any hundred turns in a row as many as the percentage says. Thread-safe.
class EvenShare {
 public:
  explicit EvenShare(int percent) : percent_(percent) {}

  // 0 to 100.
  void Set(int percent) { percent_.store(percent, std::memory_order_relaxed); }
  int percent() const { return percent_.load(std::memory_order_relaxed); }

  // Whether this turn is one of the share's. Takes no turn at 0 %.
  bool Next() {
    const int percent = this->percent();
    if (percent == 0) return false;
    const auto turn =
        static_cast<int>(turns_.fetch_add(1, std::memory_order_relaxed) % 100);
    // Where n times the share passes a whole number.
    return (turn + 1) * percent / 100 != turn * percent / 100;
  }

 private:
  std::atomic<int> percent_;
  std::atomic<uint64_t> turns_{0};
};

}  // namespace quantserve
