#include "tests/bench/peak.h"

#include <omp.h>

#include <algorithm>

#include "quant/base/cpu.h"
#include "quant/base/status_macros.h"
#include "quant/onednn/product.h"
#include "quant/onednn/tuner.h"

namespace quantserve::bench {
namespace {

using onednn::ElementType;
using onednn::ProductShape;

// [rows, channels] x [channels, outputs].
ProductShape Gemm(int64_t size, Precision precision) {
  ProductShape shape;
  shape.node = "peak";
  shape.linear = true;
  shape.in_width = shape.out_width = size;
  shape.in_channels = shape.out_channels = size;
  switch (precision) {
    case Precision::kFp32:
      break;
    case Precision::kBf16:
      shape.in_type = shape.weights_type = ElementType::kBF16;
      break;
    case Precision::kInt8:
      shape.in_type = shape.out_type = ElementType::kU8;
      shape.weights_type = ElementType::kS8;
      shape.multipliers.assign(size, 1e-4f);
      break;
  }
  return shape;
}

}  // namespace

absl::StatusOr<double> PeakMacsPerSecond(Precision precision, int threads) {
  if (precision == Precision::kBf16 && !Cpu().avx512_bf16) {
    return absl::FailedPreconditionError("no bf16 instructions");
  }
  const int before = omp_get_max_threads();
  omp_set_num_threads(threads);
  double peak = 0;
  // Some sizes fit the caches better than others; twice, for a quieter moment.
  for (int64_t size : {512, 768, 1024, 1536, 512, 768, 1024, 1536}) {
    const ProductShape shape = Gemm(size, precision);
    onednn::Tuner tuner(threads);
    for (const auto& candidate : onednn::FindCandidates(shape)) {
      QS_ASSIGN_OR_RETURN(const double seconds,
                          tuner.ProductSeconds(shape, candidate));
      peak = std::max(peak, static_cast<double>(shape.macs()) / seconds);
    }
  }
  omp_set_num_threads(before);
  return peak;
}

}  // namespace quantserve::bench
