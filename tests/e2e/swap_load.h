// Swaps INT8 again and again while clients predict.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "client/client.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/leak_detector.h"

namespace quantserve::testing {

struct SwapLoad {
  std::string target;  // HOST:PORT of a ready server
  int metrics_port = 0;
  const TestModel* model = nullptr;
  int swaps = 100;
  int clients = 8;
  // Called after each swap; may be empty.
  std::function<void()> after_swap;
};

struct SwapResult {
  int64_t answers = 0;
  // Of INT8, whose generation was not served between sending and receiving.
  int64_t stale = 0;
  std::vector<std::string> failures;  // of calls and swaps; the first ones
  std::vector<double> resident;       // bytes, after each swap
  // Of one INT8 generation: weights, and buffers for each worker.
  double generation_bytes = 0;
  // INT8 generations in memory when everything is over and had time to go.
  int live = 0;

  LeakVerdict leak() const { return DetectLeak(resident, generation_bytes); }
};

// Half of the clients' requests are for FP32, half for INT8. Each generation
// answers at least one request of each client's on average. The server reuses
// its artifact, so that a swap compiles, evaluates, asks the gate and
// publishes, and does not calibrate.
SwapResult SwapUnderLoad(const SwapLoad& load);

}  // namespace quantserve::testing
