// A plan compiled onto oneDNN: one program of primitives for each batch size of
// the ladder, the implementation of every convolution chosen by measurement.
//
//   QS_ASSIGN_OR_RETURN(auto engine, CompileOneDnn(plan, {}, {}));
//   Save(engine->choices_json());  // a restart does not measure again
//
// What it computes is what quant/plan/reference.h computes, to within one step
// of each 8-bit value's grid (FP32 sums are rounded differently), with two
// roundings fewer: a residual addition and a final kDequantize are computed
// with the product before them. Always the right numbers: where the processor
// cannot multiply bytes exactly (no VNNI, weights beyond +-64), or oneDNN has
// only its reference kernel, products run in FP32, and info().notes says so.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/engine/engine.h"
#include "quant/plan/plan.h"

namespace quantserve {

struct OneDnnOptions {
  // Products of an FP32 plan compute in BF16 (FP32 sums). FAILED_PRECONDITION
  // for a quantized plan, or where the processor has no BF16.
  bool bf16 = false;
  // choices_json() of an earlier engine for the same plan. Used where it fits
  // this machine, ignored where it does not.
  std::string choices_json;
};

struct StepTime {
  std::string name;
  double seconds = 0;
};

class OneDnnEngine : public Engine {
 public:
  // The implementations in use, to be kept with the model.
  virtual const std::string& choices_json() const = 0;
  // How many measurements were needed to choose them.
  virtual int measurements() const = 0;
  // What is executed: the plan after its optimisations, without the weights.
  virtual const Plan& plan() const = 0;
  // Median seconds of each step over `runs` runs of a batch of the ladder, on
  // inputs of zeros.
  virtual absl::StatusOr<std::vector<StepTime>> Profile(int64_t batch,
                                                        int runs) const = 0;
};

// INVALID_ARGUMENT for a bad ladder or a plan whose shapes are not those of one
// sample; what Plan::Validate returns otherwise. The calling thread's OpenMP
// thread count is restored.
absl::StatusOr<std::unique_ptr<OneDnnEngine>> CompileOneDnn(
    const Plan& plan, const EngineOptions& engine_options,
    const OneDnnOptions& options);

// "2.6.3": of the library in use.
std::string OneDnnVersion();

// Empties oneDNN's own cache of primitives, which LibTorch fills, too. Those in
// use stay. When it held those of many candidates, oneDNN 2.6 threw
// std::bad_alloc from a kernel's constructor under LibTorch; why is not known,
// and a cache that is kept small does not show it.
void ForgetPrimitives();

}  // namespace quantserve
