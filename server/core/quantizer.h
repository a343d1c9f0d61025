// The work of a job: compile, calibrate, evaluate, decide, publish.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "quant/base/job_control.h"
#include "quant/pipeline/pipeline.h"
#include "server/core/model_metrics.h"
#include "server/core/quantization_run.h"
#include "server/core/server_options.h"
#include "server/core/shard_store.h"
#include "server/core/variant_registry.h"

namespace quantserve {

// Every method is called from the job's thread only; each may take minutes and
// returns CANCELLED soon after the control says so. Nothing that fails changes
// what is being served.
class Quantizer {
 public:
  struct Deps {
    const ModelPipeline* pipeline = nullptr;
    const ShardStore* shards = nullptr;
    VariantRegistry* registry = nullptr;
    ModelMetrics* metrics = nullptr;
    // Compares an INT8 product of this machine with the exact one; may be
    // empty.
    std::function<absl::Status()> int8_self_test;
    int workers = 1;
    bool bf16 = false;  // publish that variant, too
    QuantizationConfig config;
  };

  explicit Quantizer(Deps deps);

  // Compiles FP32, evaluates it on the samples that gates will look at, if
  // there are any, and publishes it; then BF16, if it is asked for. A BF16
  // that fails is left unavailable with its reason.
  absl::Status PublishFloat(const JobControl& control);

  // Makes an INT8 variant and publishes it, or holds it if `spec.hold`, unless
  // the gate refuses or `spec.dry_run`. Needs FP32 published.
  QuantizationRun Run(const QuantizeSpec& spec, const JobControl& control);

  absl::StatusOr<EvaluationOutcome> Evaluate(const EvaluateSpec& spec,
                                             const JobControl& control);

 private:
  using Snapshot = VariantRegistry::Snapshot;

  // Samples of a shard that a variant is judged by.
  struct SampleSet {
    std::string name;
    std::shared_ptr<const Shard> shard;
    int64_t first = 0;
    int64_t samples = 0;
    bool operator==(const SampleSet& other) const {
      return shard == other.shard && first == other.first &&
             samples == other.samples;
    }
  };

  // The test shard, or the held-out part of `calibration`; `*calibrate` is how
  // many samples of `calibration` are left to calibrate on.
  absl::StatusOr<SampleSet> ChooseSamples(
      const std::string& name, std::shared_ptr<const Shard> calibration,
      int64_t wanted, int64_t* calibrate) const;
  absl::StatusOr<Evaluation> Measure(const Engine& engine, const SampleSet& set,
                                     const JobControl& control) const;
  // FP32's evaluation of the set, kept until another set is asked for.
  absl::StatusOr<const Evaluation*> Baseline(const SampleSet& set,
                                             const JobControl& control);
  absl::Status PublishBf16(const SampleSet& set, const JobControl& control);
  absl::Status Attempt(const JobControl& control, QuantizationRun* run);
  absl::Status Judge(const SampleSet& set, const Engine& int8,
                     const JobControl& control, QuantizationRun* run);
  absl::Status Publish(CompiledVariant compiled, QuantizationRun* run);
  void Record(const QuantizationRun& run);

  const Deps deps_;
  // Touched by the job's thread only.
  std::optional<absl::Status> self_test_;
  SampleSet baseline_set_;
  std::optional<Evaluation> baseline_;
};

}  // namespace quantserve
