#include "quant/demo/train.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <thread>
#include <vector>

#include "quant/demo/images.h"

namespace quantserve {
namespace {

// Two threads that each train on half a batch, not one computation on two
// threads: they meet once a step instead of in every operator, which on a busy
// machine is the difference between a minute and ten.
constexpr int kReplicas = 2;

// Calls work(0) … work(kReplicas - 1), each on a thread of its own with one
// LibTorch thread. What one of them throws is thrown.
template <typename Work>
void OnEachReplica(const Work& work) {
  std::array<std::exception_ptr, kReplicas> errors;
  std::array<std::thread, kReplicas> threads;
  for (int r = 0; r < kReplicas; ++r) {
    threads[r] = std::thread([&, r] {
      try {
        at::set_num_threads(1);
        // Specialising the graph for training costs more than it gains.
        torch::jit::setGraphExecutorOptimize(false);
        work(r);
      } catch (...) {
        errors[r] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

// Up for a fifth of the steps, then down to nothing along a cosine.
double LearningRate(double peak, int64_t step, int64_t steps) {
  constexpr double kWarmUp = 0.2, kPi = 3.14159265358979;
  const double at = static_cast<double>(step) / static_cast<double>(steps);
  if (at < kWarmUp) return peak * (0.05 + 0.95 * at / kWarmUp);
  return peak * 0.5 * (1 + std::cos(kPi * (at - kWarmUp) / (1 - kWarmUp)));
}

// A copy of the network with gradients of its own.
struct Replica {
  explicit Replica(torch::jit::Module from) : network(std::move(from)) {
    for (at::Tensor parameter : network.parameters()) {
      parameters.push_back(parameter.set_requires_grad(true));
    }
  }
  torch::jit::Module network;
  std::vector<at::Tensor> parameters;
  double loss = 0;
  int64_t correct = 0;
};

// The first replica shares its tensors with `network`.
std::array<Replica, kReplicas> MakeReplicas(const torch::jit::Module& network) {
  // Else the copies would be results of the first one, with its history.
  const torch::NoGradGuard no_grad;
  return {Replica(network), Replica(network.deepcopy())};
}

class Trainer {
 public:
  Trainer(const TrainOptions& options, const Preprocessing& preprocessing,
          torch::jit::Module* network)
      : options_(options),
        preprocessing_(preprocessing),
        replicas_(MakeReplicas(*network)),
        optimizer_(replicas_[0].parameters,
                   torch::optim::SGDOptions(options.peak_learning_rate)
                       .momentum(0.9)
                       .nesterov(true)
                       .weight_decay(5e-4)) {}

  void Run(const std::function<void(const TrainProgress&)>& report) {
    TrainProgress progress;
    progress.steps = options_.samples / options_.batch;
    for (; progress.step < progress.steps; ++progress.step) {
      Step(progress.step * options_.batch,
           LearningRate(options_.peak_learning_rate, progress.step,
                        progress.steps));
      Average(&progress);
      if (report) report(progress);
    }
  }

 private:
  void Step(int64_t first, double learning_rate) {
    const int64_t half = options_.batch / kReplicas;
    OnEachReplica(
        [&](int r) { Backward(first + r * half, half, &replicas_[r]); });
    const torch::NoGradGuard no_grad;
    const auto& master = replicas_[0].parameters;
    const auto& other = replicas_[1].parameters;
    for (size_t i = 0; i < master.size(); ++i) {
      master[i].mutable_grad().add_(other[i].grad()).mul_(0.5);
    }
    static_cast<torch::optim::SGDOptions&>(
        optimizer_.param_groups()[0].options())
        .lr(learning_rate);
    optimizer_.step();
    for (size_t i = 0; i < master.size(); ++i) other[i].copy_(master[i]);
  }

  void Backward(int64_t first, int64_t count, Replica* replica) const {
    for (const at::Tensor& parameter : replica->parameters) {
      if (parameter.grad().defined()) parameter.mutable_grad().zero_();
    }
    const at::Tensor inputs =
        at::empty({count, 3, kDemoSide, kDemoSide}, at::kFloat);
    const at::Tensor labels = at::empty({count}, at::kLong);
    Draw(first, inputs, labels);
    const at::Tensor logits = replica->network.forward({inputs}).toTensor();
    const at::Tensor loss = at::cross_entropy_loss(logits, labels);
    loss.backward();
    replica->loss = loss.item<double>();
    replica->correct = logits.argmax(1).eq(labels).sum().item<int64_t>();
  }

  // The floats that a server makes of the same bytes.
  void Draw(int64_t first, const at::Tensor& inputs,
            const at::Tensor& labels) const {
    constexpr std::array<int64_t, 3> kShape = {3, kDemoSide, kDemoSide};
    std::array<uint8_t, kDemoImageBytes> pixels;
    for (int64_t i = 0; i < labels.size(0); ++i) {
      labels.data_ptr<int64_t>()[i] = DrawDemoImage(
          options_.seed, DemoSplit::kTrain, first + i, absl::MakeSpan(pixels));
      Preprocess(
          preprocessing_, kShape, pixels,
          {inputs.data_ptr<float>() + i * kDemoImageBytes, kDemoImageBytes});
    }
  }

  void Average(TrainProgress* progress) const {
    double loss = 0, correct = 0;
    for (const Replica& replica : replicas_) {
      loss += replica.loss / kReplicas;
      correct += static_cast<double>(replica.correct);
    }
    const double weight =
        std::max(0.02, 1 / static_cast<double>(progress->step + 1));
    progress->loss += weight * (loss - progress->loss);
    progress->accuracy +=
        weight *
        (correct / static_cast<double>(options_.batch) - progress->accuracy);
  }

  const TrainOptions options_;
  const Preprocessing preprocessing_;
  std::array<Replica, kReplicas> replicas_;
  torch::optim::SGD optimizer_;
};

}  // namespace

void TrainDemoNetwork(const TrainOptions& options,
                      const Preprocessing& preprocessing,
                      const std::function<void(const TrainProgress&)>& report,
                      torch::jit::Module* network) {
  network->train();
  Trainer(options, preprocessing, network).Run(report);
  network->eval();
}

}  // namespace quantserve
