#include "quant/pipeline/speed.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "quant/base/status_macros.h"
#include "quant/onednn/onednn_engine.h"

namespace quantserve {
namespace {

std::string Joined(const std::string& before, const std::string& more) {
  return before.empty() ? more : absl::StrCat(before, ", ", more);
}

}  // namespace

absl::Duration LatencyOf(const CompiledVariant& variant) {
  for (const EngineTiming& timing : variant.timings) {
    if (timing.rejected.empty()) return timing.latency;
  }
  return absl::ZeroDuration();
}

void JudgeSpeed(double min_speedup, const CompiledVariant& fp32,
                const CompiledVariant& int8, QuantizationReport* report) {
  const double after = absl::ToDoubleSeconds(LatencyOf(int8));
  const double speedup =
      after > 0 ? absl::ToDoubleSeconds(LatencyOf(fp32)) / after : 0;
  BudgetReport budget{"", "", true};
  if (report->budget) budget = *report->budget;
  budget.wanted = Joined(
      budget.wanted, absl::StrFormat("speed-up at least %.2f", min_speedup));
  budget.achieved =
      Joined(budget.achieved, absl::StrFormat("%.2f times as fast", speedup));
  budget.reached = budget.reached && speedup >= min_speedup;
  report->budget = std::move(budget);
}

namespace {

// A step is called "NODE what it does". What the engine adds around a node
// ("NODE.padding", "NODE.in0", "NODE.f32") is part of what the node costs.
std::string LayerOf(const std::string& step,
                    const std::set<std::string>& layers) {
  const std::string node = step.substr(0, step.find(' '));
  if (layers.count(node) > 0) return node;
  return node.substr(0, node.rfind('.'));
}

}  // namespace

absl::Status FillTimes(const Engine& engine, LayerTime which,
                       QuantizationReport* report) {
  constexpr int kRuns = 15;
  const auto* onednn = dynamic_cast<const OneDnnEngine*>(&engine);
  if (onednn == nullptr) return absl::OkStatus();
  QS_ASSIGN_OR_RETURN(const std::vector<StepTime> steps,
                      onednn->Profile(1, kRuns));
  std::set<std::string> layers;
  for (const LayerReport& layer : report->layers) layers.insert(layer.name);
  std::map<std::string, double> seconds;
  for (const StepTime& step : steps) {
    seconds[LayerOf(step.name, layers)] += step.seconds;
  }
  for (LayerReport& layer : report->layers) {
    const auto found = seconds.find(layer.name);
    if (found == seconds.end()) continue;
    (which == LayerTime::kFp32 ? layer.fp32_time : layer.int8_time) =
        absl::Seconds(found->second);
  }
  return absl::OkStatus();
}

}  // namespace quantserve
