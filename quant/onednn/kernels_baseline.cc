#define QS_KERNEL_NAMESPACE baseline
#define QS_KERNEL_ISA "baseline"
#include "quant/onednn/kernels.inc"

namespace quantserve::onednn {
const KernelTable& BaselineKernels() { return baseline::kTable; }
}  // namespace quantserve::onednn
