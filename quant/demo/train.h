// Trains the demo network on drawn images.
#pragma once

#include <torch/script.h>

#include <cstdint>
#include <functional>

#include "quant/data/preprocessing.h"

namespace quantserve {

struct TrainOptions {
  uint64_t seed = 1;
  int64_t samples = 64000;  // images, each drawn and used once
  int64_t batch = 64;       // even: each half has a thread of its own
  double peak_learning_rate = 0.15;
};

struct TrainProgress {
  int64_t step = 0;  // batches done
  int64_t steps = 0;
  double loss = 0;      // both are means over the last 50 batches or so
  double accuracy = 0;  // on training images
};

// Draws `options.samples` images, a batch at a time, and trains `network` on
// them, in place, on two threads; leaves it in evaluation mode. The same
// options give the same weights on every machine with the same instruction set,
// however many cores it has. Throws what LibTorch throws.
void TrainDemoNetwork(const TrainOptions& options,
                      const Preprocessing& preprocessing,
                      const std::function<void(const TrainProgress&)>& report,
                      torch::jit::Module* network);

}  // namespace quantserve
