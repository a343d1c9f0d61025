// The real server binary, with a real model, on free ports.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/client.h"
#include "quantserve/v1/inference.pb.h"
#include "tests/testing/process.h"

namespace quantserve::testing {

// A model with its shards, and the flags that serve it.
struct TestModel {
  std::string name;   // "" if it is not there
  std::string model;  // "": a configuration file names it, or several
  std::string calibration, test, labels;
  std::vector<std::string> preprocessing;  // flags

  // The command that serves it, ports not given.
  std::vector<std::string> Command() const;
  // Where its kernels' timings are kept: not in the home of whoever runs tests.
  static std::string CacheDirectory();
};

// The demo's model, trained for a few seconds: good enough to tell right from
// wrong, made once for all tests.
const TestModel& SmallModel();
// The model with flags for a short start, where it does not matter how well it
// is quantized.
TestModel Quick(TestModel model);
// The small one, quick, on one engine.
const TestModel& QuickModel();
// ResNet-20 for CIFAR-10 of the shared folder; no name where that is absent.
const TestModel& Resnet20();
// ResNet-18, likewise.
const TestModel& Resnet18();

// Models that are not one picture in, logits out, of tests/e2e/write_models.py
// and the folder that they are in, made once for all tests. OddModel's shards
// are NAME.npz.
TestModel OddModel(const std::string& name);
const std::string& OddModels();

class ServerProcess {
 public:
  // Started with `flags` added; listens when the constructor returns, unless it
  // ended: then port() is 0.
  explicit ServerProcess(const TestModel& model,
                         const std::vector<std::string>& flags = {});

  int port() const { return port_; }
  int metrics_port() const { return metrics_port_; }
  int admin_port() const { return admin_port_; }
  std::string target() const { return "127.0.0.1:" + std::to_string(port_); }
  Process& process() { return *process_; }
  // A new connection.
  std::unique_ptr<Client> NewClient() const;
  void AwaitReady();

 private:
  std::string port_file_;
  int port_ = 0;
  int metrics_port_ = 0;
  int admin_port_ = 0;
  std::unique_ptr<Process> process_;
};

// Samples [first, first + count) of a CIFAR-10 binary file as one tensor of raw
// pixels, and their labels.
v1::Tensor ReadSamples(const std::string& path, int64_t first, int64_t count,
                       std::vector<int>* labels = nullptr);

// How much longer than usual the long loops are to run, for a soak by hand: the
// environment's QUANTSERVE_SOAK, 1 without it.
int SoakFactor();

// A path in the tests' folder, for this process alone; whatever is there is
// removed at its end.
std::string TempPath(const std::string& name);
// A file of bytes at TempPath(name), which is returned.
std::string WriteBytes(const std::string& name, const std::string& bytes);
std::string ReadBytes(const std::string& path);

}  // namespace quantserve::testing
