// Which samples of a shard are read when it holds more than is wanted.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "quant/data/read_options.h"

namespace quantserve {

// `count` of the numbers 0 … population - 1, ascending; every set of that size
// is equally likely. Reservoir sampling (Vitter's algorithm R) with a 64-bit
// Mersenne Twister and integers only, so that one seed gives one set on every
// machine. 0 <= count <= population. Takes time in proportion to `population`
// and memory in proportion to `count`.
std::vector<int64_t> ReservoirSample(int64_t population, int64_t count,
                                     uint64_t seed);

// The samples that are read from a source, and in which order.
class DrawnSamples {
 public:
  // All of them.
  explicit DrawnSamples(int64_t population = 0)
      : population_(population), size_(population) {}
  DrawnSamples(int64_t population, std::vector<int64_t> numbers)
      : population_(population),
        size_(static_cast<int64_t>(numbers.size())),
        numbers_(std::move(numbers)) {}

  int64_t population() const { return population_; }
  int64_t size() const { return size_; }
  // The number that drawn sample `i` has in the source; ascends with i, unless
  // they are Shuffled.
  int64_t operator[](int64_t i) const {
    return numbers_.empty() ? i : numbers_[i];
  }

 private:
  int64_t population_;
  int64_t size_;
  std::vector<int64_t> numbers_;  // empty: all
};

// As many of `population` samples, each of `sample_bytes` in memory, as the
// options' max_samples and max_sample_bytes allow. INVALID_ARGUMENT if not even
// one fits, and for more than 2^31 - 1 samples.
absl::StatusOr<DrawnSamples> DrawSamples(int64_t population,
                                         int64_t sample_bytes,
                                         const ReadShardOptions& options);

// The same samples in another order, each equally likely; as ReservoirSample,
// one seed gives one order on every machine.
DrawnSamples Shuffled(const DrawnSamples& drawn, uint64_t seed);

}  // namespace quantserve
