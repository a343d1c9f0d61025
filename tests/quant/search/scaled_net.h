// A net whose plain INT8 is bad: a few channels are 50 times as large as the
// others before a depthwise convolution, which scales them back. The function
// is a sane one; a grid that all channels share is not.
#pragma once

#include <torch/script.h>

#include <cstring>
#include <string>
#include <vector>

#include "quant/data/shard.h"
#include "tests/testing/script_model.h"

namespace quantserve::testing {

constexpr int kScaledChannels = 16;
constexpr int kScaledSize = 12;

// `factor` 1 leaves the channels as they are: the same function.
inline ScriptModel ScaledNet(double factor) {
  torch::manual_seed(5);
  ScriptModel m;
  m.Conv("c1", kScaledChannels, 3, 3)
      .Conv("dw", kScaledChannels, 1, 3)
      .Conv("c2", 32, kScaledChannels, 1)
      .Linear("fc", 10, 32 * 9);
  m.Forward(
      "x = torch.relu(self.c1_apply(x, 1, 1))\n"
      "x = torch.relu(self.dw_apply(x, 1, 1, 16))\n"
      "x = torch.relu(self.c2_apply(x, 1, 0))\n"
      "x = torch.avg_pool2d(x, [4, 4])\n"
      "return self.fc_apply(torch.flatten(x, 1))");
  torch::NoGradGuard no_grad;
  const auto parameter = [&](const char* name) {
    return m.module().attr(name).toTensor();
  };
  for (const int channel : {2, 7, 11}) {
    parameter("c1_w")[channel].mul_(factor);
    parameter("c1_b")[channel].mul_(factor);
    parameter("dw_w")[channel].div_(factor);
  }
  return m;
}

// Images with structure, so that outputs differ from sample to sample.
inline Shard ScaledNetShard(int64_t count) {
  torch::manual_seed(6);
  at::Tensor x = torch::randn({count, 3, kScaledSize / 4, kScaledSize / 4}) * 2;
  x = at::upsample_nearest2d(x, {kScaledSize, kScaledSize}) +
      0.3 * torch::randn({count, 3, kScaledSize, kScaledSize});
  x = x.contiguous();
  Tensor samples(DType::kF32, {count, 3, kScaledSize, kScaledSize});
  std::memcpy(samples.data<float>(), x.data_ptr<float>(), samples.bytes());
  return *Shard::Make("structured", std::move(samples), {});
}

}  // namespace quantserve::testing
