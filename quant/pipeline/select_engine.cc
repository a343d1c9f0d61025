#include "quant/pipeline/select_engine.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "quant/base/memory.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

struct Trial {
  std::unique_ptr<Engine> engine;
  std::unique_ptr<ExecutionContext> context;
  std::vector<std::vector<float>> outputs;  // of all probe samples
  std::vector<absl::Duration> times;
  absl::Duration latency;
};

absl::Duration Median(std::vector<absl::Duration> times) {
  const auto middle = times.begin() + static_cast<int64_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

absl::Status RunProbe(const SelectionOptions& options, Trial* trial) {
  const std::vector<TensorSpec>& specs = trial->engine->inputs();
  const size_t count = trial->engine->outputs().size();
  trial->outputs.resize(count);
  for (size_t i = 0; i < count; ++i) {
    trial->outputs[i].resize(options.probe_samples *
                             trial->engine->outputs()[i].elements());
  }
  for (int64_t s = 0; s < options.probe_samples; ++s) {
    std::vector<float*> outputs;
    for (size_t i = 0; i < count; ++i) {
      outputs.push_back(trial->outputs[i].data() +
                        s * trial->engine->outputs()[i].elements());
    }
    std::vector<const float*> inputs;
    for (size_t i = 0; i < specs.size(); ++i) {
      inputs.push_back(options.probe[i].data() + s * specs[i].elements());
    }
    const absl::Time start = absl::Now();
    QS_RETURN_IF_ERROR(trial->context->Run(1, inputs, absl::MakeSpan(outputs)));
    trial->times.push_back(absl::Now() - start);
  }
  return absl::OkStatus();
}

absl::StatusOr<Trial> Try(const EngineCandidate& candidate,
                          const SelectionOptions& options) {
  constexpr int kRounds = 6;
  Trial trial;
  QS_ASSIGN_OR_RETURN(trial.engine, candidate.compile_probe
                                        ? candidate.compile_probe()
                                        : candidate.compile());
  QS_ASSIGN_OR_RETURN(trial.context, trial.engine->NewContext());
  QS_RETURN_IF_ERROR(RunProbe(options, &trial));  // warms up
  // The best of several medians: a disturbance that lasts for a while is not
  // held against the candidate that it happens to hit.
  trial.latency = absl::InfiniteDuration();
  for (int round = 0; round < kRounds; ++round) {
    trial.times.clear();
    QS_RETURN_IF_ERROR(RunProbe(options, &trial));
    trial.latency = std::min(trial.latency, Median(trial.times));
  }
  return trial;
}

double SqnrDb(const std::vector<float>& want, const std::vector<float>& got) {
  double signal = 0, noise = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    signal += double{want[i]} * want[i];
    noise += (double{want[i]} - got[i]) * (double{want[i]} - got[i]);
  }
  if (noise == 0) return std::numeric_limits<double>::infinity();
  if (!std::isfinite(noise)) return -std::numeric_limits<double>::infinity();
  return 10 * std::log10(std::max(signal, 1e-300) / noise);
}

}  // namespace

absl::StatusOr<CompiledVariant> SelectEngine(
    const std::vector<EngineCandidate>& candidates,
    const SelectionOptions& options) {
  CompiledVariant variant;
  std::vector<float> wanted;  // the first candidate's outputs
  constexpr size_t kNone = std::numeric_limits<size_t>::max();
  size_t best = kNone;  // index into candidates and variant.timings
  for (const EngineCandidate& candidate : candidates) {
    // One after another, each released before the next: a model's weights are
    // in memory in one layout at a time.
    absl::StatusOr<Trial> trial = Try(candidate, options);
    EngineTiming timing{candidate.engine, absl::ZeroDuration(), ""};
    if (!trial.ok()) {
      timing.rejected = std::string(trial.status().message());
    } else if (!wanted.empty()) {
      const double sqnr = SqnrDb(wanted, trial->outputs[0]);
      if (sqnr < options.min_sqnr_db) {
        timing.rejected =
            absl::StrCat("disagrees with ", candidates[0].engine, ": SQNR ",
                         sqnr, " dB, want ", options.min_sqnr_db);
      }
    }
    if (timing.rejected.empty()) {
      if (wanted.empty()) wanted = std::move(trial->outputs[0]);
      timing.latency = trial->latency;
      if (best != kNone && variant.timings[best].latency <= timing.latency) {
        timing.rejected = "slower";
      } else {
        if (best != kNone) variant.timings[best].rejected = "slower";
        best = variant.timings.size();
        variant.engine =
            candidate.compile_probe ? nullptr : std::move(trial->engine);
      }
    }
    variant.timings.push_back(std::move(timing));
    trial = absl::CancelledError();  // releases it
    ReturnFreedMemory();
  }
  if (best == kNone) {
    return absl::InternalError(absl::StrCat(
        "no engine runs this model: ",
        absl::StrJoin(variant.timings, "; ",
                      [](std::string* out, const EngineTiming& t) {
                        absl::StrAppend(out, t.engine, ": ", t.rejected);
                      })));
  }
  if (variant.engine == nullptr) {
    QS_ASSIGN_OR_RETURN(variant.engine, candidates[best].compile());
  }
  variant.precision = variant.engine->info().precision;
  return variant;
}

}  // namespace quantserve
