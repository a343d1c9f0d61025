// Small TorchScript models for tests, written in TorchScript.
#pragma once

#include <torch/script.h>

#include <string>

namespace quantserve::testing {

// Layers with random weights (deterministic: call torch::manual_seed first) and
// a forward() over them:
//
//   ScriptModel m;
//   m.Conv("c1", 16, 3, 3).BatchNorm("n1", 16);
//   m.Forward("return torch.relu(self.n1_apply(self.c1_apply(x, 1, 1)))");
class ScriptModel {
 public:
  ScriptModel();

  // Adds parameters NAME_w, [out, in, k, k], and NAME_b, and the method
  // NAME_apply(x, stride, padding, groups=1).
  ScriptModel& Conv(const std::string& name, int out, int in, int k);
  // NAME_apply(x).
  ScriptModel& Linear(const std::string& name, int out, int in);
  // NAME_apply(x); statistics that are not trivial.
  ScriptModel& BatchNorm(const std::string& name, int channels);
  // The body of forward(self, x), one statement a line.
  ScriptModel& Forward(const std::string& body);

  const torch::jit::Module& module() const { return module_; }
  void Save(const std::string& path) const { module_.save(path); }

 private:
  void Parameter(const std::string& name, const at::Tensor& value);
  torch::jit::Module module_;
};

}  // namespace quantserve::testing
