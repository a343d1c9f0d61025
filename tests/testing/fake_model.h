// A model without LibTorch, for faults and the order of events: the first four
// elements of a sample are its logits.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "quant/data/shard.h"
#include "quant/engine/engine.h"
#include "quant/pipeline/pipeline.h"
#include "tests/testing/gate_switch.h"

namespace quantserve::testing {

inline constexpr int64_t kFakeOutputs = 4;
// Samples are [3,2,2].
inline const Shape& FakeSampleShape() {
  static const Shape& shape = *new Shape{3, 2, 2};
  return shape;
}

// What tests turn, shared by a pipeline and the engines that it makes.
// Atomics and switches may be turned at any time, functions before use.
struct FakeControls {
  GateSwitch runs;       // each engine run of a worker passes here
  GateSwitch quantizes;  // each Quantize passes here
  std::atomic<bool> fail_runs{false};  // with INTERNAL, naming a path
  std::atomic<bool> fail_float{false};
  std::atomic<bool> fail_quantize{false};
  std::atomic<bool> fail_context{false};  // of INT8 engines
  std::atomic<bool> wrong_int8{false};    // INT8 outputs are reversed
  std::atomic<int> engines{0};            // alive
  std::atomic<std::thread::id> destroyed_on{};
};

std::shared_ptr<const Engine> MakeFakeEngine(
    const std::string& precision, std::shared_ptr<FakeControls> controls,
    bool reversed = false);

// Its options() hold `preprocessing`. Quantize notes what is to be kept in
// FP32, reaches every budget but a max_drop of 0, and has histograms where the
// report is to be detailed.
std::unique_ptr<ModelPipeline> MakeFakePipeline(
    std::shared_ptr<FakeControls> controls, Preprocessing preprocessing = {});

// Float samples whose label is their largest logit; without labels if so asked.
Shard MakeFakeShard(int64_t size, bool labels = true);
// The same samples as a .npy file, which has no labels. Returns its path.
std::string WriteFakeShard(int64_t size, const std::string& name);

}  // namespace quantserve::testing
