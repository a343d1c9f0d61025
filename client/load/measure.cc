#include "client/load/measure.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "client/load/stable_windows.h"

namespace quantserve {
namespace {

constexpr int kRounds = 5;

// One contender under way.
struct Run {
  Run(const Contender& contender, const MeasureOptions& options,
      LoadClock* clock)
      : name(contender.name),
        generator(contender.transport, options.load, clock),
        windows(options.tolerance, options.max_windows) {}

  const std::string& name;
  Generator generator;
  StableWindows windows;
  std::vector<Load> loads;
};

void WarmUp(const MeasureOptions& options, Run* run) {
  LoadWindow window;
  if (options.requests > 0) {
    window.requests = options.load.rate > 0 ? 1 : options.load.clients;
  } else {
    window.length = options.warmup;
  }
  run->generator.Run(window);
}

LoadWindow NextWindow(const MeasureOptions& options, int number) {
  LoadWindow window;
  if (options.requests > 0) {
    window.requests = (options.requests * (number + 1)) / kRounds -
                      (options.requests * number) / kRounds;
  } else {
    window.length = options.window;
    // Queues fill before anything counts.
    window.lead_in = std::min(options.window / 10, absl::Milliseconds(200));
  }
  return window;
}

bool Over(const MeasureOptions& options, const std::vector<Run*>& runs,
          int number) {
  if (options.requests > 0) return number >= kRounds;
  return std::all_of(runs.begin(), runs.end(),
                     [](const Run* run) { return run->windows.over(); });
}

}  // namespace

std::vector<Measurement> Measure(const std::vector<Contender>& contenders,
                                 const MeasureOptions& options,
                                 const OnWindow& on_window, LoadClock* clock) {
  std::vector<std::unique_ptr<Run>> owned;
  std::vector<Run*> runs;
  for (const Contender& contender : contenders) {
    owned.push_back(std::make_unique<Run>(contender, options, clock));
    runs.push_back(owned.back().get());
    WarmUp(options, runs.back());
  }
  for (int number = 0; !Over(options, runs, number); ++number) {
    for (Run* run : runs) {
      Load load = run->generator.Run(NextWindow(options, number));
      run->windows.Add(load.Figures());
      if (on_window) on_window(run->name, number + 1, load);
      run->loads.push_back(std::move(load));
    }
  }
  std::vector<Measurement> results;
  for (Run* run : runs) {
    Measurement& result = results.emplace_back();
    result.windows = static_cast<int>(run->loads.size());
    const bool all = options.requests > 0;
    result.stable = all || run->windows.stable();
    const int first =
        all ? 0 : std::max(0, result.windows - StableWindows::kAgreeing);
    for (int i = first; i < result.windows; ++i) {
      result.load.Merge(run->loads[i]);
    }
  }
  return results;
}

}  // namespace quantserve
