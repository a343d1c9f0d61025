#include "tests/testing/script_model.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace quantserve::testing {

ScriptModel::ScriptModel() : module_("TestModel") {
  module_.register_attribute("training", c10::BoolType::get(), false);
}

void ScriptModel::Parameter(const std::string& name, const at::Tensor& value) {
  module_.register_parameter(name, value, /*is_buffer=*/false);
}

ScriptModel& ScriptModel::Conv(const std::string& name, int out, int in,
                               int k) {
  Parameter(name + "_w", torch::randn({out, in, k, k}) / std::sqrt(in * k * k));
  Parameter(name + "_b", torch::randn({out}) * 0.1);
  module_.define(absl::StrCat(
      "def ", name, "_apply(self, x, stride: int, padding: int, groups: int",
      " = 1):\n  return torch.conv2d(x, self.", name, "_w, self.", name,
      "_b, [stride, stride], [padding, padding], [1, 1], groups)\n"));
  return *this;
}

ScriptModel& ScriptModel::Linear(const std::string& name, int out, int in) {
  Parameter(name + "_w", torch::randn({out, in}) / std::sqrt(in));
  Parameter(name + "_b", torch::randn({out}) * 0.1);
  module_.define(absl::StrCat("def ", name, "_apply(self, x):\n",
                              "  return torch.linear(x, self.", name,
                              "_w, self.", name, "_b)\n"));
  return *this;
}

ScriptModel& ScriptModel::BatchNorm(const std::string& name, int channels) {
  Parameter(name + "_w", torch::rand({channels}) + 0.5);
  Parameter(name + "_b", torch::randn({channels}) * 0.2);
  Parameter(name + "_m", torch::randn({channels}) * 0.2);
  Parameter(name + "_v", torch::rand({channels}) + 0.5);
  module_.define(absl::StrCat(
      "def ", name, "_apply(self, x):\n  return torch.batch_norm(x, self.",
      name, "_w, self.", name, "_b, self.", name, "_m, self.", name,
      "_v, False, 0.1, 1e-5, True)\n"));
  return *this;
}

ScriptModel& ScriptModel::Forward(const std::string& body) {
  module_.define(absl::StrCat("def forward(self, x):\n  ",
                              absl::StrReplaceAll(body, {{"\n", "\n  "}}),
                              "\n"));
  return *this;
}

}  // namespace quantserve::testing
