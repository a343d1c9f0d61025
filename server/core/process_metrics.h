// What the process costs, under the names that every Prometheus client uses.
#pragma once

#include <functional>
#include <vector>

#include "prometheus/client_metric.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "prometheus/metric_type.h"

namespace quantserve {

// Reads /proc at every scrape. Thread-safe.
class ProcessMetrics : public prometheus::Collectable {
 public:
  // Both are asked at every scrape; either may be empty.
  explicit ProcessMetrics(std::function<int64_t()> queue_depth,
                          std::function<int64_t()> busy_workers = nullptr);
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const std::function<int64_t()> queue_depth_;
  const std::function<int64_t()> busy_workers_;
};

}  // namespace quantserve
