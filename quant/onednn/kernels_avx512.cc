// Compiled for AVX-512 F, BW, VL and DQ.
#define QS_KERNEL_NAMESPACE avx512
#define QS_KERNEL_ISA "avx512"
#include "quant/onednn/kernels.inc"

namespace quantserve::onednn {
const KernelTable& Avx512Kernels() { return avx512::kTable; }
}  // namespace quantserve::onednn
