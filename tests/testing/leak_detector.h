// Tells a leak from noise in a series of memory sizes.
#pragma once

#include <string>
#include <vector>

namespace quantserve::testing {

struct LeakVerdict {
  bool leaks = false;
  double per_step = 0;  // bytes that each step adds, 0 if too few samples
  std::string text;     // one line for a test's failure, with the numbers
};

// `bytes`: the process's memory after each of many equal steps, swaps say, of
// which each one would leak `step_bytes` or more if it leaked at all. The first
// quarter is warm-up and left out. What the rest adds at each step is the
// median of the slopes between samples that are a quarter of it apart, so that
// neither a few spikes nor a single jump of the allocator's count: fewer than
// half of those slopes see either. A quarter of `step_bytes` is a leak.
// Fewer than 16 samples are too few: they count as a leak, so that a test can't
// pass without having looked.
LeakVerdict DetectLeak(const std::vector<double>& bytes, double step_bytes);

}  // namespace quantserve::testing
