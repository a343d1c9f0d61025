// Shares the rows of a loop among the threads of a context.
#pragma once

#include <omp.h>

#include <cstdint>

#include "quant/onednn/kernels.h"

namespace quantserve::onednn {

// Calls fn(Rows) on disjoint ranges that cover [0, rows). With one thread, a
// plain call: no parallel region is opened.
template <typename Fn>
void ParallelRows(int threads, int64_t rows, const Fn& fn) {
  if (threads <= 1 || rows < 2) {
    fn(Rows{0, rows});
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    const int64_t n = omp_get_num_threads(), i = omp_get_thread_num();
    const Rows range{rows * i / n, rows * (i + 1) / n};
    if (range.begin < range.end) fn(range);
  }
}

}  // namespace quantserve::onednn
