#include "quant/pipeline/select_engine.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "quant/base/status_macros.h"

namespace quantserve {
namespace {

struct Trial {
  const EngineCandidate* candidate = nullptr;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<ExecutionContext> context;
  std::vector<std::vector<float>> outputs;  // of all probe samples
  std::vector<absl::Duration> times;
};

absl::Status RunProbe(const SelectionOptions& options, Trial* trial) {
  const int64_t in = trial->engine->inputs()[0].elements();
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
    const absl::Time start = absl::Now();
    QS_RETURN_IF_ERROR(trial->context->Run(1, {options.probe.data() + s * in},
                                           absl::MakeSpan(outputs)));
    trial->times.push_back(absl::Now() - start);
  }
  return absl::OkStatus();
}

absl::StatusOr<Trial> Try(const EngineCandidate& candidate,
                          const SelectionOptions& options) {
  Trial trial;
  trial.candidate = &candidate;
  QS_ASSIGN_OR_RETURN(trial.engine, candidate.compile_probe
                                        ? candidate.compile_probe()
                                        : candidate.compile());
  QS_ASSIGN_OR_RETURN(trial.context, trial.engine->NewContext());
  QS_RETURN_IF_ERROR(RunProbe(options, &trial));  // warms up
  trial.times.clear();
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

absl::Duration Median(std::vector<absl::Duration> times) {
  const auto middle = times.begin() + static_cast<int64_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

}  // namespace

absl::StatusOr<CompiledVariant> SelectEngine(
    const std::vector<EngineCandidate>& candidates,
    const SelectionOptions& options) {
  // Rounds in turn, so that a disturbance hits every candidate.
  constexpr int kRounds = 5;
  CompiledVariant variant;
  std::vector<Trial> trials;
  std::vector<size_t> timing_of;  // index into variant.timings
  for (const EngineCandidate& candidate : candidates) {
    absl::StatusOr<Trial> trial = Try(candidate, options);
    EngineTiming timing{candidate.engine, absl::ZeroDuration(), ""};
    if (!trial.ok()) {
      timing.rejected = std::string(trial.status().message());
    } else if (!trials.empty()) {
      const double sqnr = SqnrDb(trials[0].outputs[0], trial->outputs[0]);
      if (sqnr < options.min_sqnr_db) {
        timing.rejected =
            absl::StrCat("disagrees with ", candidates[0].engine, ": SQNR ",
                         sqnr, " dB, want ", options.min_sqnr_db);
      }
    }
    if (timing.rejected.empty()) {
      trials.push_back(*std::move(trial));
      timing_of.push_back(variant.timings.size());
    }
    variant.timings.push_back(std::move(timing));
  }
  if (trials.empty()) {
    return absl::InternalError(absl::StrCat(
        "no engine runs this model: ",
        absl::StrJoin(variant.timings, "; ",
                      [](std::string* out, const EngineTiming& t) {
                        absl::StrAppend(out, t.engine, ": ", t.rejected);
                      })));
  }
  for (int round = 0; round < kRounds; ++round) {
    for (Trial& trial : trials) QS_RETURN_IF_ERROR(RunProbe(options, &trial));
  }
  size_t best = 0;
  for (size_t i = 0; i < trials.size(); ++i) {
    EngineTiming& timing = variant.timings[timing_of[i]];
    timing.latency = Median(trials[i].times);
    if (timing.latency < variant.timings[timing_of[best]].latency) best = i;
  }
  for (size_t i = 0; i < trials.size(); ++i) {
    if (i != best) variant.timings[timing_of[i]].rejected = "slower";
  }
  const EngineCandidate& winner = *trials[best].candidate;
  if (winner.compile_probe) {
    trials.clear();
    QS_ASSIGN_OR_RETURN(variant.engine, winner.compile());
  } else {
    trials[best].context.reset();
    variant.engine = std::move(trials[best].engine);
  }
  variant.precision = variant.engine->info().precision;
  return variant;
}

}  // namespace quantserve
