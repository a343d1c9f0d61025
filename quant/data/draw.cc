#include "quant/data/draw.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"

namespace quantserve {
namespace {

// A sample's label, and its number in the source.
constexpr int64_t kBookkeeping = 2 * sizeof(int64_t);

// 0 to n - 1, each equally likely: what std::uniform_int_distribution does, but
// the same in every standard library.
uint64_t Below(uint64_t n, std::mt19937_64* random) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  uint64_t value = (*random)();
  while (value >= kMax - kMax % n) value = (*random)();
  return value % n;
}

}  // namespace

std::vector<int64_t> ReservoirSample(int64_t population, int64_t count,
                                     uint64_t seed) {
  std::vector<int64_t> reservoir(count);
  std::iota(reservoir.begin(), reservoir.end(), 0);
  if (count == 0) return reservoir;
  std::mt19937_64 random(seed);
  for (int64_t i = count; i < population; ++i) {
    const int64_t slot = static_cast<int64_t>(Below(i + 1, &random));
    if (slot < count) reservoir[slot] = i;
  }
  std::sort(reservoir.begin(), reservoir.end());
  return reservoir;
}

absl::StatusOr<DrawnSamples> DrawSamples(int64_t population,
                                         int64_t sample_bytes,
                                         const ReadShardOptions& options) {
  constexpr int64_t kMaxPopulation = std::numeric_limits<int32_t>::max();
  if (population > kMaxPopulation) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has ", population, " samples, expected at most ", kMaxPopulation));
  }
  int64_t count = std::min(
      population, options.max_sample_bytes / (sample_bytes + kBookkeeping));
  if (count < 1 && population > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("has samples that take ", sample_bytes + kBookkeeping,
                     " bytes, expected at most ", options.max_sample_bytes,
                     " (max_sample_bytes)"));
  }
  if (options.max_samples > 0) count = std::min(count, options.max_samples);
  if (count == population) return DrawnSamples(population);
  return DrawnSamples(population,
                      ReservoirSample(population, count, options.seed));
}

DrawnSamples Shuffled(const DrawnSamples& drawn, uint64_t seed) {
  std::vector<int64_t> numbers(drawn.size());
  for (int64_t i = 0; i < drawn.size(); ++i) numbers[i] = drawn[i];
  // Not the numbers that the draw itself used.
  std::mt19937_64 random(~seed);
  for (size_t left = numbers.size(); left > 1; --left) {
    std::swap(numbers[left - 1], numbers[Below(left, &random)]);
  }
  return DrawnSamples(drawn.population(), std::move(numbers));
}

}  // namespace quantserve
