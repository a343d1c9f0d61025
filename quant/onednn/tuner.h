// Measures how long candidates take on this machine, and remembers.
#pragma once

#include <limits>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/onednn/huge_region.h"
#include "quant/onednn/layout.h"
#include "quant/onednn/product.h"

namespace quantserve::onednn {

// Not thread-safe. The calling thread must have its OpenMP threads set.
class Tuner {
 public:
  explicit Tuner(int threads) : threads_(threads) {}

  // Seconds for one run of the candidate, its source fresh in the cache and its
  // weights not: between two requests the other layers' weights pass through
  // the cache, and with warm weights small layers look twice as fast as they
  // are. The least of several runs. Equal signatures are measured once.
  // A candidate whose first two runs take more than twice `give_up` is not run
  // again.
  absl::StatusOr<double> ProductSeconds(
      const ProductShape& shape, const Candidate& candidate,
      double give_up = std::numeric_limits<double>::infinity());
  // Seconds for a change of layout.
  absl::StatusOr<double> ReorderSeconds(const Shape& shape, int64_t batch,
                                        ElementType type, Layout from,
                                        Layout to);
  int measurements() const { return measurements_; }

 private:
  absl::StatusOr<double> Measure(const Program& program, BufferId source,
                                 size_t source_bytes, double give_up);
  void EvictCaches();

  const int threads_;
  int measurements_ = 0;
  std::map<std::string, double> seconds_;
  HugeRegion arena_, weights_, evictor_;
};

}  // namespace quantserve::onednn
