#include "tests/e2e/server_process.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace quantserve::testing {
namespace {

constexpr char kBin[] = QUANTSERVE_BIN_DIR;

TestModel MakeSmallModel() {
  const std::string dir = QUANTSERVE_E2E_DIR;
  std::filesystem::create_directories(dir);
  // Tests run beside each other, each in a process of its own: one makes the
  // model, the others wait and find it.
  const int lock = open((dir + "/lock").c_str(), O_CREAT | O_RDWR, 0600);
  flock(lock, LOCK_EX);
  const Finished made =
      RunProcess({absl::StrCat(kBin, "/make_demo_model"), "--output_dir", dir,
                  "--epochs=1", "--train_samples=4000"},
                 absl::Minutes(10));
  close(lock);
  EXPECT_EQ(made.code, 0) << made.err;
  // Starts are part of every test: fewer samples to evaluate make them short.
  const std::string test = WriteBytes(
      "test.bin", ReadBytes(dir + "/test.bin").substr(0, 400 * 3073));
  return {"small",
          dir + "/model.pt",
          dir + "/calibration.bin",
          test,
          dir + "/labels.txt",
          // It is trained for speed, not for a steep gate.
          {"--mean=0.5", "--std=0.25", "--max_accuracy_drop=0.1"}};
}

// Of the shared folder: models/NAME_cifar10.pt, data/cifar10SHARDS_*.bin.
TestModel FindShared(const std::string& name, const std::string& shards,
                     std::vector<std::string> preprocessing) {
  const std::string shared = QUANTSERVE_SHARED_DIR;
  const std::string model =
      absl::StrCat(shared, "/models/", name, "_cifar10.pt");
  if (!std::filesystem::exists(model)) return {};
  const std::string data = absl::StrCat(shared, "/data/cifar10", shards);
  return {name,
          model,
          data + "_calibration.bin",
          data + "_test.bin",
          "",
          std::move(preprocessing)};
}

}  // namespace

std::vector<std::string> TestModel::Command() const {
  std::vector<std::string> command = {
      absl::StrCat(kBin, "/quantserve_server"),
      "--calibration_shard=" + calibration, "--test_shard=" + test,
      "--cache_dir=" + CacheDirectory(),
      // What is tested is what this build decides, not an earlier one.
      "--artifact_dir=none"};
  command.insert(command.end(), preprocessing.begin(), preprocessing.end());
  if (!model.empty()) command.push_back("--model=" + model);
  if (!labels.empty()) command.push_back("--labels=" + labels);
  return command;
}

std::string TestModel::CacheDirectory() {
  return absl::StrCat(QUANTSERVE_E2E_DIR, "/cache");
}

const TestModel& SmallModel() {
  static const auto& model = *new TestModel(MakeSmallModel());
  return model;
}

TestModel Quick(TestModel model) {
  if (model.name.empty()) return model;
  model.test = WriteBytes(model.name + ".quick.bin",
                          ReadBytes(model.test).substr(0, 64 * 3073));
  model.preprocessing.insert(
      model.preprocessing.end(),
      {"--samples=32", "--range_method=minmax", "--bias_correction=none",
       "--equalize=off", "--max_accuracy_drop=1"});
  return model;
}

const TestModel& QuickModel() {
  static const auto& model = *new TestModel([] {
    TestModel quick = Quick(SmallModel());
    quick.preprocessing.emplace_back("--engine=onednn");
    return quick;
  }());
  return model;
}

const TestModel& Resnet20() {
  static const auto& model = *new TestModel(FindShared(
      "resnet20", "", {"--mean=0.485,0.456,0.406", "--std=0.229,0.224,0.225"}));
  return model;
}

const TestModel& Resnet18() {
  static const auto& model = *new TestModel(FindShared(
      "resnet18", "_jpeg",
      {"--mean=0.4914,0.4822,0.4465", "--std=0.2023,0.1994,0.2010"}));
  return model;
}

const std::string& OddModels() {
  static const auto& directory = *new std::string([] {
    const std::string dir = absl::StrCat(QUANTSERVE_E2E_DIR, "/odd");
    std::filesystem::create_directories(dir);
    const int lock = open((dir + "/lock").c_str(), O_CREAT | O_RDWR, 0600);
    flock(lock, LOCK_EX);
    const std::string script =
        absl::StrCat(QUANTSERVE_SOURCE_DIR, "/tests/e2e/write_models.py");
    // Its last file: there if all of them are.
    const std::string last = dir + "/done";
    std::error_code error;
    if (!std::filesystem::exists(last, error) ||
        std::filesystem::last_write_time(last, error) <
            std::filesystem::last_write_time(script, error)) {
      const Finished made =
          RunProcess({"/usr/bin/python3", script, dir}, absl::Minutes(5));
      EXPECT_EQ(made.code, 0) << made.err << "see scripts/install_deps.sh";
    }
    close(lock);
    return dir;
  }());
  return directory;
}

TestModel OddModel(const std::string& name) {
  const std::string path = absl::StrCat(OddModels(), "/", name);
  // With few samples one more mistake is a steep drop.
  return {name,          path + ".pt", path + ".npz",
          path + ".npz", "",           {"--max_accuracy_drop=0.2"}};
}

ServerProcess::ServerProcess(const TestModel& model,
                             const std::vector<std::string>& flags) {
  static std::atomic<int> count{0};
  port_file_ = absl::StrCat(::testing::TempDir(), "ports.", getpid(), ".",
                            ++count, ".json");
  std::vector<std::string> command = model.Command();
  command.insert(command.end(),
                 {"--port=0", "--metrics_port=0", "--port_file=" + port_file_});
  command.insert(command.end(), flags.begin(), flags.end());
  process_ = std::make_unique<Process>(command);
  const absl::Time deadline = absl::Now() + absl::Minutes(2);
  while (!std::filesystem::exists(port_file_) && process_->running() &&
         absl::Now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const std::string ports = ReadBytes(port_file_);
  if (std::sscanf(ports.c_str(), "{\"grpc\":%d,\"metrics\":%d,\"admin\":%d}",
                  &port_, &metrics_port_, &admin_port_) != 3) {
    ADD_FAILURE() << "the server does not listen: " << process_->err();
  }
  std::filesystem::remove(port_file_);
}

std::unique_ptr<Client> ServerProcess::NewClient() const {
  ClientOptions options;
  // The machine may be busy with other tests.
  options.deadline = absl::Minutes(1);
  return std::make_unique<Client>(target(), options);
}

void ServerProcess::AwaitReady() {
  const absl::Status ready = NewClient()->AwaitReady(absl::Minutes(3));
  ASSERT_TRUE(ready.ok()) << ready << "\n" << process_->err();
}

v1::Tensor ReadSamples(const std::string& path, int64_t first, int64_t count,
                       std::vector<int>* labels) {
  constexpr int64_t kRecord = 3073;
  std::ifstream file(path, std::ios::binary);
  file.seekg(first * kRecord);
  v1::Tensor tensor;
  tensor.set_dtype(v1::UINT8);
  for (int64_t dim : {count, int64_t{3}, int64_t{32}, int64_t{32}}) {
    tensor.add_shape(dim);
  }
  std::string record(kRecord, '\0');
  for (int64_t i = 0; i < count; ++i) {
    EXPECT_TRUE(file.read(record.data(), kRecord)) << path;
    if (labels != nullptr) {
      labels->push_back(static_cast<unsigned char>(record[0]));
    }
    tensor.mutable_data()->append(record, 1, kRecord - 1);
  }
  return tensor;
}

int SoakFactor() {
  const char* text = std::getenv("QUANTSERVE_SOAK");
  return text == nullptr ? 1 : std::max(1, std::atoi(text));
}

std::string TempPath(const std::string& name) {
  struct Leftovers {
    std::vector<std::string> paths;
    ~Leftovers() {
      std::error_code ignored;
      for (const auto& path : paths) {
        std::filesystem::remove_all(path, ignored);
      }
    }
  };
  static Leftovers leftovers;
  return leftovers.paths.emplace_back(
      absl::StrCat(::testing::TempDir(), getpid(), ".", name));
}

std::string WriteBytes(const std::string& name, const std::string& bytes) {
  const std::string path = TempPath(name);
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::string ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace quantserve::testing
