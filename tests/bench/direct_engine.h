// The served model's INT8 engine, called with nothing in between.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "quant/pipeline/pipeline.h"
#include "tests/e2e/server_process.h"

namespace quantserve::bench {

class DirectEngine {
 public:
  // Quantizes and compiles as the server does, for `workers` threads.
  static absl::StatusOr<DirectEngine> Make(const testing::TestModel& model,
                                           int workers);

  const std::string& name() const { return engine_->info().engine; }

  struct Work {
    int64_t samples = 0;
    absl::Duration took;
  };
  // All threads at once for `length`, each with batches of the sizes that
  // `batches` counts, in proportion.
  Work RunFor(absl::Duration length,
              const std::map<int64_t, int64_t>& batches) const;

 private:
  std::shared_ptr<const Engine> engine_;
  std::vector<std::shared_ptr<ExecutionContext>> contexts_;
};

}  // namespace quantserve::bench
