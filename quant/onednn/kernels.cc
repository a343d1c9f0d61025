#include "quant/onednn/kernels.h"

#include "quant/base/cpu.h"

namespace quantserve::onednn {

const KernelTable& Kernels() {
  static const KernelTable* const table = [] {
    if (Cpu().avx512) return &Avx512Kernels();
    if (Cpu().avx2) return &Avx2Kernels();
    return &BaselineKernels();
  }();
  return *table;
}

}  // namespace quantserve::onednn
