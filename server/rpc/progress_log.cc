#include "server/rpc/progress_log.h"

#include <memory>

#include "server/core/steady_clock.h"
#include "spdlog/spdlog.h"

namespace quantserve {

std::function<void(const std::string& job, const Progress&)> ProgressLog() {
  struct State {
    std::string job, phase;
    absl::Time logged;
  };
  auto state = std::make_shared<State>();
  return [state](const std::string& job, const Progress& progress) {
    const absl::Time now = SteadyNow();
    const bool news = job != state->job || progress.phase != state->phase;
    if (!news && now - state->logged < absl::Seconds(3)) return;
    *state = {job, progress.phase, now};
    spdlog::info("{}: {} {}/{}", job, progress.phase, progress.done,
                 progress.total);
  };
}

}  // namespace quantserve
