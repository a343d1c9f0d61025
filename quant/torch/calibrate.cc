#include "quant/torch/calibrate.h"

#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <functional>
#include <map>

#include "quant/base/status_macros.h"
#include "quant/torch/emit.h"
#include "quant/torch/wall.h"

namespace quantserve {
namespace {

// The float plan with every value as an output.
class Observer {
 public:
  static absl::StatusOr<Observer> Make(const Plan& plan) {
    EmitOptions options;
    for (ValueId id = 0; id < static_cast<ValueId>(plan.values.size()); ++id) {
      options.observe.push_back(id);
    }
    QS_ASSIGN_OR_RETURN(torch::jit::Module module, EmitModule(plan, options));
    return Observer(plan, std::move(module));
  }

  using Visit = std::function<absl::Status(ValueId, absl::Span<const float>)>;

  // Runs `count` samples and shows every value.
  absl::Status Run(const Shard& shard, const Preprocessing& preprocessing,
                   int64_t first, int64_t count, const Visit& visit) {
    return BehindWall(
        absl::StatusCode::kInternal, "calibration run failed",
        [&]() -> absl::Status {
          torch::jit::Stack stack{module_._ivalue()};
          for (size_t i = 0; i < shard.num_inputs(); ++i) {
            Shape shape = shard.sample_shape(i);
            shape.insert(shape.begin(), count);
            at::Tensor input = torch::empty(shape, torch::kFloat32);
            shard.Copy(
                i, first, count, preprocessing,
                {input.data_ptr<float>(), static_cast<size_t>(input.numel())});
            stack.push_back(std::move(input));
          }
          executor_->run(stack);
          const auto tuple = stack.at(0).toTuple();
          const size_t skipped = plan_->outputs.size();
          for (size_t i = 0; i < plan_->values.size(); ++i) {
            const at::Tensor value =
                tuple->elements()[skipped + i].toTensor().contiguous();
            QS_RETURN_IF_ERROR(visit(
                static_cast<ValueId>(i),
                {value.data_ptr<float>(), static_cast<size_t>(value.numel())}));
          }
          return absl::OkStatus();
        });
  }

 private:
  Observer(const Plan& plan, torch::jit::Module module)
      : plan_(&plan),
        module_(std::move(module)),
        executor_(std::make_unique<torch::jit::GraphExecutor>(
            module_.get_method("forward").graph(), "calibrate",
            torch::jit::ExecutorExecutionMode::SIMPLE)) {}

  const Plan* plan_;
  torch::jit::Module module_;
  std::unique_ptr<torch::jit::GraphExecutor> executor_;
};

// Sums the input channels of the layers that read one value.
class ChannelMean {
 public:
  // `shape` is the value's, for a batch of one.
  ChannelMean(const Shape& shape, bool last)
      : channels_(last ? shape.back() : shape[1]), inner_(1) {
    for (size_t d = 2; !last && d < shape.size(); ++d) inner_ *= shape[d];
    sums_.resize(channels_);
  }
  void Add(absl::Span<const float> values) {
    for (size_t at = 0; at < values.size();) {
      for (int64_t c = 0; c < channels_; ++c) {
        double sum = 0;
        for (int64_t i = 0; i < inner_; ++i) sum += values[at++];
        sums_[c] += sum;
      }
      count_ += inner_;
    }
  }
  std::vector<float> Means() const {
    std::vector<float> means;
    for (double sum : sums_) {
      means.push_back(static_cast<float>(sum / std::max<int64_t>(1, count_)));
    }
    return means;
  }

 private:
  const int64_t channels_;
  int64_t inner_;  // elements of a channel in one sample
  int64_t count_ = 0;
  std::vector<double> sums_;
};

std::map<ValueId, ChannelMean> LayerInputs(const Plan& plan) {
  std::map<ValueId, ChannelMean> means;
  for (const Node& node : plan.nodes) {
    const bool conv = node.kind == OpKind::kConv2d;
    if (!conv && node.kind != OpKind::kLinear) continue;
    const ValueId id = node.inputs[0];
    means.emplace(id, ChannelMean(plan.value(id).shape, !conv));
  }
  return means;
}

absl::Status CheckShard(const Plan& plan, const Shard& shard) {
  if (shard.num_inputs() != plan.inputs.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("shard \"", shard.name(), "\" has ", shard.num_inputs(),
                     " inputs, model wants ", plan.inputs.size()));
  }
  for (size_t i = 0; i < plan.inputs.size(); ++i) {
    const Shape& want = plan.value(plan.inputs[i]).shape;
    const Shape& have = shard.sample_shape(i);
    if (std::equal(have.begin(), have.end(), want.begin() + 1, want.end())) {
      continue;
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "shard \"", shard.name(), "\" has samples of shape ", ShapeString(have),
        ", model wants ", ShapeString({want.data() + 1, want.size() - 1})));
  }
  return absl::OkStatus();
}

}  // namespace

// Fills a Calibration.
class Calibrator {
 public:
  static absl::StatusOr<Calibration> Run(const Plan& plan, const Shard& shard,
                                         const Preprocessing& preprocessing,
                                         const CalibrateOptions& options,
                                         const JobControl& control);
};

absl::StatusOr<Calibration> Calibrator::Run(const Plan& plan,
                                            const Shard& shard,
                                            const Preprocessing& preprocessing,
                                            const CalibrateOptions& options,
                                            const JobControl& control) {
  QS_RETURN_IF_ERROR(CheckShard(plan, shard));
  QS_ASSIGN_OR_RETURN(Observer observer, Observer::Make(plan));
  int64_t sample_bytes = 0;
  for (const Value& v : plan.values) sample_bytes += v.elements() * 4;
  const int64_t samples = std::min(options.samples, shard.size());
  const int64_t batch = std::clamp<int64_t>(
      options.max_activation_bytes / sample_bytes, 1, options.batch);

  Calibration result;
  for (const Value& value : plan.values) result.names_.push_back(value.name);
  std::map<ValueId, ChannelMean> means = LayerInputs(plan);
  std::vector<RangeEstimator>& estimators = result.estimators_;
  for (size_t i = 0; i < plan.values.size(); ++i) {
    estimators.emplace_back(options.ranges);
  }
  const auto pass = [&](const char* phase,
                        const Observer::Visit& visit) -> absl::Status {
    QS_RETURN_IF_ERROR(control.Report(phase, 0, samples));
    for (int64_t first = 0; first < samples; first += batch) {
      const int64_t count = std::min(batch, samples - first);
      QS_RETURN_IF_ERROR(
          observer.Run(shard, preprocessing, first, count, visit));
      QS_RETURN_IF_ERROR(control.Report(phase, first + count, samples));
    }
    return absl::OkStatus();
  };
  QS_RETURN_IF_ERROR(
      pass("ranges", [&](ValueId id, absl::Span<const float> values) {
        const auto mean = means.find(id);
        if (mean != means.end()) mean->second.Add(values);
        const absl::Status status = estimators[id].ObserveBounds(values);
        if (status.ok()) return status;
        return absl::Status(status.code(),
                            absl::StrCat("value \"", plan.value(id).name,
                                         "\": ", status.message()));
      }));
  if (estimators[0].NeedsHistogram()) {
    QS_RETURN_IF_ERROR(
        pass("histograms", [&](ValueId id, absl::Span<const float> values) {
          estimators[id].ObserveHistogram(values);
          return absl::OkStatus();
        }));
  }
  for (const auto& [id, mean] : means) {
    result.means_[plan.value(id).name] = mean.Means();
  }
  return result;
}

RangeMap Calibration::Ranges(const RangeOptions& options) const {
  RangeMap ranges;
  for (size_t i = 0; i < estimators_.size(); ++i) {
    ranges[names_[i]] = {estimators_[i].Estimate(options, 256, false),
                         estimators_[i].Estimate(options, 255, true)};
  }
  return ranges;
}

absl::StatusOr<Calibration> Calibrate(const Plan& plan, const Shard& shard,
                                      const Preprocessing& preprocessing,
                                      const CalibrateOptions& options,
                                      const JobControl& control) {
  return Calibrator::Run(plan, shard, preprocessing, options, control);
}

}  // namespace quantserve
