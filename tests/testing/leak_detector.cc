#include "tests/testing/leak_detector.h"

#include <algorithm>
#include <cstdio>

namespace quantserve::testing {
namespace {

constexpr size_t kFewest = 16;
constexpr double kShare = 0.25;

}  // namespace

LeakVerdict DetectLeak(const std::vector<double>& bytes, double step_bytes) {
  LeakVerdict verdict;
  char text[160];
  if (bytes.size() < kFewest) {
    verdict.leaks = true;
    std::snprintf(text, sizeof(text), "%zu samples, want %zu or more",
                  bytes.size(), kFewest);
    verdict.text = text;
    return verdict;
  }
  const size_t first = bytes.size() / 4;
  const size_t apart = (bytes.size() - first) / 4;
  std::vector<double> slopes;
  for (size_t i = first; i + apart < bytes.size(); ++i) {
    slopes.push_back((bytes[i + apart] - bytes[i]) /
                     static_cast<double>(apart));
  }
  const auto middle =
      slopes.begin() + static_cast<std::ptrdiff_t>(slopes.size() / 2);
  std::nth_element(slopes.begin(), middle, slopes.end());
  verdict.per_step = *middle;
  verdict.leaks = verdict.per_step > kShare * step_bytes;
  std::snprintf(text, sizeof(text),
                "%.0f bytes a step over %zu samples, %.0f and more is a leak; "
                "%.1f MB at first, %.1f MB at last",
                verdict.per_step, bytes.size(), kShare * step_bytes,
                bytes.front() / 1e6, bytes.back() / 1e6);
  verdict.text = text;
  return verdict;
}

}  // namespace quantserve::testing
