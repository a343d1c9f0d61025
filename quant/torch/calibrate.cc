#include "quant/torch/calibrate.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quant/base/status_macros.h"
#include "quant/torch/observe.h"

namespace quantserve {
namespace {

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

// " of Conv2d", " of aten::log": who computes a value.
std::string Producer(const Plan& plan, ValueId id) {
  for (const Node& node : plan.nodes) {
    if (std::count(node.outputs.begin(), node.outputs.end(), id) == 0) continue;
    if (const auto* island = std::get_if<IslandAttrs>(&node.attrs)) {
      return absl::StrCat(" of ", island->island->op());
    }
    const auto* unary = std::get_if<UnaryAttrs>(&node.attrs);
    return absl::StrCat(
        " of ", unary != nullptr ? unary->function : OpKindName(node.kind));
  }
  return "";
}

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

}  // namespace

// Fills a Calibration.
class Calibrator {
 public:
  Calibrator(const Plan& plan, const Shard& shard,
             const Preprocessing& preprocessing,
             const CalibrateOptions& options, const JobControl& control)
      : plan_(plan),
        shard_(shard),
        preprocessing_(preprocessing),
        options_(options),
        control_(control),
        samples_(std::min(options.samples, shard.size())),
        split_(std::min(options.split, samples_)) {}

  absl::StatusOr<Calibration> Run() {
    ObserveOptions observe;
    observe.batch = std::min(options_.batch, samples_);
    observe.max_activation_bytes = options_.max_activation_bytes;
    for (size_t i = 0; i < plan_.values.size(); ++i) {
      observe.values.push_back(static_cast<ValueId>(i));
      result_.names_.push_back(plan_.values[i].name);
      result_.estimators_.emplace_back(options_.ranges);
    }
    QS_ASSIGN_OR_RETURN(observer_, Observer::Make(plan_, observe));
    std::map<ValueId, ChannelMean> means = LayerInputs(plan_);
    const auto bounds = [&](ValueId id, absl::Span<const float> values) {
      const auto mean = means.find(id);
      if (mean != means.end()) mean->second.Add(values);
      const absl::Status status = result_.estimators_[id].ObserveBounds(values);
      if (status.ok()) return status;
      // The samples are finite, the shard's reader has seen to that.
      return absl::Status(
          status.code(),
          absl::StrCat("the model on shard \"", shard_.name(), "\": value \"",
                       plan_.value(id).name, "\"", Producer(plan_, id), ": ",
                       status.message()));
    };
    QS_RETURN_IF_ERROR(Pass("ranges", bounds, [&] {
      for (const RangeEstimator& whole : result_.estimators_) {
        result_.before_split_.push_back(whole);
      }
    }));
    if (result_.estimators_[0].NeedsHistogram()) {
      const auto histogram = [&](ValueId id, absl::Span<const float> values) {
        result_.estimators_[id].ObserveHistogram(values);
        return absl::OkStatus();
      };
      QS_RETURN_IF_ERROR(Pass("histograms", histogram, [&] {
        for (size_t i = 0; i < result_.before_split_.size(); ++i) {
          result_.before_split_[i].AdoptHistogram(result_.estimators_[i]);
        }
      }));
    }
    for (const auto& [id, mean] : means) {
      result_.means_[plan_.value(id).name] = mean.Means();
    }
    return std::move(result_);
  }

 private:
  // Shows all samples; calls `at_split` between the two parts.
  absl::Status Pass(const char* phase, const Observer::Visit& visit,
                    const std::function<void()>& at_split) {
    QS_RETURN_IF_ERROR(control_.Report(phase, 0, samples_));
    for (int64_t first = 0; first < samples_;) {
      const int64_t end = first < split_ ? split_ : samples_;
      const int64_t count = std::min(observer_->batch(), end - first);
      QS_RETURN_IF_ERROR(
          observer_->Run(shard_, preprocessing_, first, count, visit));
      first += count;
      if (first == split_) at_split();
      QS_RETURN_IF_ERROR(control_.Report(phase, first, samples_));
    }
    return absl::OkStatus();
  }

  const Plan& plan_;
  const Shard& shard_;
  const Preprocessing& preprocessing_;
  const CalibrateOptions& options_;
  const JobControl& control_;
  const int64_t samples_, split_;
  std::unique_ptr<Observer> observer_;
  Calibration result_;
};

namespace {

RangeMap EstimateAll(const std::vector<std::string>& names,
                     const std::vector<RangeEstimator>& estimators,
                     const RangeOptions& options) {
  RangeMap ranges;
  for (size_t i = 0; i < estimators.size(); ++i) {
    ranges[names[i]] = {estimators[i].Estimate(options, 256, false),
                        estimators[i].Estimate(options, 255, true)};
  }
  return ranges;
}

}  // namespace

RangeMap Calibration::Ranges(const RangeOptions& options) const {
  return EstimateAll(names_, estimators_, options);
}

RangeMap Calibration::RangesBeforeSplit(const RangeOptions& options) const {
  return EstimateAll(
      names_, before_split_.empty() ? estimators_ : before_split_, options);
}

const RangeEstimator* Calibration::Find(const std::string& value) const {
  const auto found = std::find(names_.begin(), names_.end(), value);
  return found == names_.end() ? nullptr : &estimators_[found - names_.begin()];
}

absl::StatusOr<Calibration> Calibrate(const Plan& plan, const Shard& shard,
                                      const Preprocessing& preprocessing,
                                      const CalibrateOptions& options,
                                      const JobControl& control) {
  QS_RETURN_IF_ERROR(CheckShard(plan, shard));
  return Calibrator(plan, shard, preprocessing, options, control).Run();
}

ActivationHistogram HistogramOf(const RangeEstimator& estimator) {
  return {estimator.bounds(), estimator.HistogramCounts(),
          estimator.HistogramZeros()};
}

}  // namespace quantserve
