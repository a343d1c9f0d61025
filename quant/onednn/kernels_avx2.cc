// Compiled for AVX2 and FMA.
#define QS_KERNEL_NAMESPACE avx2
#define QS_KERNEL_ISA "avx2"
#include "quant/onednn/kernels.inc"

namespace quantserve::onednn {
const KernelTable& Avx2Kernels() { return avx2::kTable; }
}  // namespace quantserve::onednn
