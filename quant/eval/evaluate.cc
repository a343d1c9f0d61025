#include "quant/eval/evaluate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

// Outputs are kept for the comparison; more than 1 GiB of them means that this
// is no classifier or regressor.
constexpr int64_t kMaxOutputs = int64_t{1} << 28;

absl::Status Check(const Engine& engine, const Shard& shard,
                   const Preprocessing& preprocessing,
                   const EvaluateOptions& options) {
  if (engine.inputs().size() != shard.num_inputs() ||
      engine.outputs().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the model has ", engine.inputs().size(), " inputs and ",
        engine.outputs().size(), " outputs, expected at least one output and ",
        "as many inputs as shard \"", shard.name(), "\" has, ",
        shard.num_inputs()));
  }
  for (size_t i = 0; i < shard.num_inputs(); ++i) {
    const Shape& wanted = engine.inputs()[i].shape;
    if (shard.sample_shape(i) == wanted) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("shard \"", shard.name(), "\" has samples of shape ",
                     ShapeString(shard.sample_shape(i)), ", the model wants ",
                     ShapeString(wanted)));
  }
  if (options.batch < 1 || options.batch > engine.max_batch()) {
    return absl::InvalidArgumentError(
        absl::StrCat("evaluation batch is ", options.batch, ", expected 1 to ",
                     engine.max_batch()));
  }
  if (options.first < 0 || options.first >= shard.size() ||
      options.samples < 0 || options.samples > shard.size() - options.first) {
    return absl::InvalidArgumentError(absl::StrCat(
        "evaluation wants ", options.samples, " samples from ", options.first,
        " on, shard \"", shard.name(), "\" has ", shard.size()));
  }
  for (size_t i = 0; i < shard.num_inputs(); ++i) {
    if (shard.dtype(i) != DType::kU8) continue;
    const Shape& shape = shard.sample_shape(i);
    QS_RETURN_IF_ERROR(preprocessing.Validate(shape.empty() ? 1 : shape[0]));
  }
  return absl::OkStatus();
}

// The index of the largest value, the first of equal ones; -1 if every value
// is NaN.
int64_t Top1(absl::Span<const float> values) {
  int64_t best = -1;
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) continue;
    if (best < 0 || values[i] > values[best]) best = static_cast<int64_t>(i);
  }
  return best;
}

absl::Span<const float> Row(const Evaluation& evaluation, int64_t sample) {
  return absl::MakeConstSpan(evaluation.outputs)
      .subspan(sample * evaluation.outputs_per_sample,
               evaluation.outputs_per_sample);
}

absl::Status CheckLabels(const Shard& shard, const EvaluateOptions& options,
                         const Evaluation& evaluation) {
  if (!shard.has_labels()) return absl::OkStatus();
  for (int64_t i = 0; i < evaluation.samples; ++i) {
    const int64_t label = shard.labels()[options.first + i];
    if (label >= evaluation.outputs_per_sample) {
      return absl::InvalidArgumentError(absl::StrCat(
          "shard \"", shard.name(), "\": sample ", options.first + i,
          " has the label ", label, ", the model has ",
          evaluation.outputs_per_sample, " outputs"));
    }
  }
  return absl::OkStatus();
}

// Nearest rank: the smallest value that at least `share` of all do not exceed.
absl::Duration Percentile(const std::vector<absl::Duration>& sorted,
                          double share) {
  const double rank = std::ceil(share * static_cast<double>(sorted.size()));
  const size_t index = static_cast<size_t>(std::max(rank, 1.0)) - 1;
  return sorted[std::min(index, sorted.size() - 1)];
}

// All outputs of a context, of which the first is kept.
class Runner {
 public:
  Runner(const Engine& engine, int64_t batch) {
    for (const TensorSpec& output : engine.outputs()) {
      spare_.emplace_back(batch * output.elements());
      outputs_.push_back(spare_.back().data());
    }
    for (const TensorSpec& input : engine.inputs()) {
      inputs_.emplace_back(batch * input.elements());
      input_pointers_.push_back(inputs_.back().data());
    }
  }
  // Room for `elements` numbers of input `i`.
  absl::Span<float> input(size_t i, int64_t elements) {
    return absl::MakeSpan(inputs_[i]).first(elements);
  }
  // The first output goes to `first`; null: nowhere.
  absl::Status Run(ExecutionContext* context, int64_t batch, float* first) {
    outputs_[0] = first == nullptr ? spare_[0].data() : first;
    return context->Run(batch, input_pointers_, absl::MakeSpan(outputs_));
  }

 private:
  std::vector<std::vector<float>> inputs_;
  std::vector<const float*> input_pointers_;
  std::vector<std::vector<float>> spare_;
  std::vector<float*> outputs_;
};

}  // namespace

void CountCorrect(absl::Span<const int64_t> labels, Evaluation* evaluation) {
  for (int64_t i = 0; i < evaluation->samples; ++i) {
    if (Top1(Row(*evaluation, i)) == labels[i]) ++evaluation->correct;
  }
  evaluation->accuracy =
      static_cast<double>(evaluation->correct) / evaluation->samples;
}

absl::StatusOr<Evaluation> Evaluate(const Engine& engine, const Shard& shard,
                                    const Preprocessing& preprocessing,
                                    const EvaluateOptions& options,
                                    const JobControl& control) {
  QS_RETURN_IF_ERROR(Check(engine, shard, preprocessing, options));
  Evaluation result;
  result.samples =
      options.samples > 0 ? options.samples : shard.size() - options.first;
  result.outputs_per_sample = engine.outputs()[0].elements();
  if (result.outputs_per_sample < 1 ||
      result.outputs_per_sample > kMaxOutputs / result.samples) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the model has ", result.outputs_per_sample,
        " outputs for each sample, expected 1 to ",
        kMaxOutputs / result.samples, " for ", result.samples, " samples"));
  }
  QS_RETURN_IF_ERROR(CheckLabels(shard, options, result));
  result.outputs.resize(result.samples * result.outputs_per_sample);

  QS_ASSIGN_OR_RETURN(const std::unique_ptr<ExecutionContext> context,
                      engine.NewContext());
  Runner runner(engine, options.batch);
  std::vector<absl::Duration> latencies;
  for (int64_t done = 0; done < result.samples;) {
    QS_RETURN_IF_ERROR(control.Report("evaluate", done, result.samples));
    const int64_t n = std::min(options.batch, result.samples - done);
    for (size_t i = 0; i < shard.num_inputs(); ++i) {
      shard.Copy(i, options.first + done, n, preprocessing,
                 runner.input(i, n * shard.sample_elements(i)));
    }
    float* const out = result.outputs.data() + done * result.outputs_per_sample;
    // A context's first run touches its memory for the first time; that is not
    // what a later request will see.
    if (done == 0) QS_RETURN_IF_ERROR(runner.Run(context.get(), n, nullptr));
    const absl::Time start = absl::Now();
    QS_RETURN_IF_ERROR(runner.Run(context.get(), n, out));
    latencies.push_back((absl::Now() - start) / n);
    done += n;
  }
  QS_RETURN_IF_ERROR(
      control.Report("evaluate", result.samples, result.samples));
  std::sort(latencies.begin(), latencies.end());
  result.latency_p50 = Percentile(latencies, 0.5);
  result.latency_p99 = Percentile(latencies, 0.99);
  if (shard.has_labels()) {
    CountCorrect(shard.labels().subspan(options.first), &result);
  }
  return result;
}

absl::StatusOr<Comparison> Compare(const Evaluation& baseline,
                                   const Evaluation& candidate) {
  if (baseline.samples != candidate.samples || baseline.samples < 1 ||
      baseline.outputs_per_sample != candidate.outputs_per_sample ||
      baseline.outputs.size() != candidate.outputs.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "evaluations of ", baseline.samples, " samples with ",
        baseline.outputs_per_sample, " outputs and of ", candidate.samples,
        " with ", candidate.outputs_per_sample, " can't be compared"));
  }
  ComparisonSums sums;
  for (int64_t i = 0; i < baseline.samples; ++i) {
    sums.Add(Row(baseline, i), Row(candidate, i));
  }
  return sums.Get();
}

void ComparisonSums::Add(absl::Span<const float> baseline,
                         absl::Span<const float> candidate) {
  ++samples;
  const int64_t top = Top1(baseline);
  if (baseline.size() == 1 || (top >= 0 && top == Top1(candidate))) ++agreeing;
  for (size_t i = 0; i < baseline.size(); ++i) {
    const double y = baseline[i];
    const double difference = y - candidate[i];
    signal += y * y;
    noise += difference * difference;
  }
}

void ComparisonSums::Add(const ComparisonSums& other) {
  samples += other.samples;
  agreeing += other.agreeing;
  signal += other.signal;
  noise += other.noise;
}

Comparison ComparisonSums::Get() const {
  Comparison result;
  result.agreement =
      static_cast<double>(agreeing) / static_cast<double>(samples);
  result.sqnr_db = noise == 0 ? std::numeric_limits<double>::infinity()
                              : 10 * std::log10(signal / noise);
  return result;
}

}  // namespace quantserve
