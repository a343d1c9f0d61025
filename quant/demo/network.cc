#include "quant/demo/network.h"

#include <cmath>
#include <string>
#include <vector>

namespace quantserve {
namespace {

using torch::jit::Module;

// A module whose batch normalisation follows its mode.
Module NewModule(const std::string& name) {
  Module module("__torch__.demo." + name);
  module.register_attribute("training", c10::BoolType::get(), true);
  return module;
}

// He initialisation: keeps the variance through a ReLU.
at::Tensor Weights(at::IntArrayRef shape, int64_t fan_in) {
  return at::randn(shape) * std::sqrt(2.0 / static_cast<double>(fan_in));
}

// Convolution without bias, padded to keep the size, and batch normalisation.
Module ConvBn(const std::string& name, int64_t in, int64_t out, int64_t kernel,
              int64_t stride) {
  Module module = NewModule(name);
  module.register_parameter(
      "weight", Weights({out, in, kernel, kernel}, in * kernel * kernel),
      /*is_buffer=*/false);
  module.register_parameter("gamma", at::ones({out}), false);
  module.register_parameter("beta", at::zeros({out}), false);
  module.register_buffer("mean", at::zeros({out}));
  module.register_buffer("var", at::ones({out}));
  const std::string s = std::to_string(stride);
  const std::string p = std::to_string(kernel / 2);
  module.define(
      "def forward(self, x):\n"
      "    y = torch.conv2d(x, self.weight, None, [" +
      s + ", " + s + "], [" + p + ", " + p +
      "], [1, 1], 1)\n"
      "    return torch.batch_norm(y, self.gamma, self.beta, self.mean,\n"
      "                            self.var, self.training, 0.1, 1e-05, "
      "False)\n");
  return module;
}

// Two convolutions and a way around them.
Module Block(const std::string& name, int64_t in, int64_t out, int64_t stride) {
  Module module = NewModule(name);
  module.register_module("conv1", ConvBn(name + "_conv1", in, out, 3, stride));
  module.register_module("conv2", ConvBn(name + "_conv2", out, out, 3, 1));
  std::string around = "x";
  if (in != out || stride != 1) {
    module.register_module("around",
                           ConvBn(name + "_around", in, out, 1, stride));
    around = "self.around.forward(x)";
  }
  module.define(
      "def forward(self, x):\n"
      "    y = torch.relu(self.conv1.forward(x))\n"
      "    return torch.relu(self.conv2.forward(y) + " +
      around + ")\n");
  return module;
}

}  // namespace

Module MakeDemoNetwork(int64_t classes) {
  Module network = NewModule("Network");
  network.register_module("stem", ConvBn("stem", 3, 32, 3, 2));
  struct Stage {
    int64_t in, out, stride;
  };
  const std::vector<Stage> blocks = {
      {32, 32, 1}, {32, 64, 2}, {64, 64, 1}, {64, 128, 2}};
  std::string body =
      "def forward(self, x):\n"
      "    x = torch.relu(self.stem.forward(x))\n";
  for (size_t i = 0; i < blocks.size(); ++i) {
    const std::string name = "block" + std::to_string(i + 1);
    network.register_module(
        name, Block(name, blocks[i].in, blocks[i].out, blocks[i].stride));
    body += "    x = self." + name + ".forward(x)\n";
  }
  const int64_t features = blocks.back().out;
  network.register_parameter("weight",
                             Weights({classes, features}, 2 * features), false);
  network.register_parameter("bias", at::zeros({classes}), false);
  network.define(body +
                 "    x = torch.adaptive_avg_pool2d(x, [1, 1])\n"
                 "    x = torch.flatten(x, 1)\n"
                 "    return torch.linear(x, self.weight, self.bias)\n");
  return network;
}

}  // namespace quantserve
